-- Causes are told apart in the order in which they come: orders are numbered as they are placed, so the
-- newest stand at one end of the index, and a sale writes to few of its pages. With the ledger's key in the
-- order of items a sale costs what it did with its key in the order of movements.

alter table movement drop constraint movement_item_id_warehouse_id_cause_key;
alter table movement add unique (cause, item_id, warehouse_id);

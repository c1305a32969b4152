-- Looking back: a journal that is searched for what is rare, an item's movements in their order.

create index journal_by_outcome on journal (outcome, at desc) where outcome <> 'delivered';

-- No statement asks for a movement by its number alone. The same number of indexes finds an item's
-- newest movements without reading the others; the brin one finds the newest of all.
alter table movement drop constraint movement_pkey;
alter table movement add primary key (item_id, warehouse_id, id);
create index movement_by_id on movement using brin (id) with (autosummarize = on);

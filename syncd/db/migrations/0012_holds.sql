-- Holds: a listing held by a plan keeps what it shows, less what orders take, until a person says yes.

alter table shelf add column held_by bigint, add column keeps bigint;
comment on column shelf.held_by is 'The plan that holds what its listing is owed; null: none.';
comment on column shelf.keeps is 'What a held listing shows meanwhile; null: not known yet, and nothing is written.';
create index shelf_held on shelf (held_by, listing_id) where held_by is not null;

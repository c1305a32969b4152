-- Spread: several locations of one channel that feed one warehouse divide what it has.

alter table place
    add column divided boolean not null default false,
    add column position integer not null default 0;
comment on column place.divided is 'Its channel''s other locations in the warehouse and it divide the target between them.';
comment on column place.position is 'Who comes first when it is divided: as the configuration names them, then by id.';
create index place_divided on place (warehouse_id) where divided;

-- Cut-overs: which truth, mapping and switch of a channel are in force, whatever is configured.

create table rule_in_force (
    channel_id  integer primary key references channel,
    truth       text not null,
    edits       text not null,
    enabled     boolean not null,
    locations   jsonb not null,
    cut_at      timestamptz,
    changed_at  timestamptz not null
);
comment on table rule_in_force is 'What is booked by, per channel; a configuration that differs takes a cut-over first.';
comment on column rule_in_force.locations is 'Warehouse ids by location; "*" is the fallback.';
comment on column rule_in_force.cut_at is 'When the truth changed last: what orders did before it moves nothing any more.';

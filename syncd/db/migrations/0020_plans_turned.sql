-- What a plan switched off or on besides moving levels, so that its undo is exact; and pushes, which reject
-- what nobody's order explains.

alter table plan_row
    add column counted text not null default 'available' check (counted in ('available', 'on_hand')),
    add column of_count text,
    add column listing_id bigint,
    add column began_at timestamptz;
comment on column plan_row.counted is 'What its quantity says: what can be sold, or what lies there.';
comment on column plan_row.of_count is 'Of an undo: the cause of the count that holds no more, or again.';
comment on column plan_row.listing_id is 'Of a push, and of what undoes one: where an edit was rejected; `delta` is less by it.';
comment on column plan_row.began_at is 'When that edit was found, by the platform''s clock; of a blind channel: when its stretch began.';
create index plan_row_of_stretch on plan_row (listing_id, began_at) where listing_id is not null;

alter table stock_count add column undone boolean not null default false;
comment on column stock_count.undone is 'It was taken back: nothing is inside it, until it holds again.';

alter table shelf add column pushed bigint, add column rejected boolean not null default false;
comment on column shelf.pushed is 'The plan of a push whose reading has not come yet: what orders do not explain of it is rejected.';
comment on column shelf.rejected is 'A push rejected something here not long ago: an order that turns up late may explain it.';

create table rejection (
    listing_id  bigint not null,
    at          timestamptz not null,
    since       timestamptz not null,
    units       bigint not null,
    undone      boolean not null default false,
    recorded_at timestamptz not null,
    primary key (listing_id, at)
);
comment on table rejection is 'Units of a shelf''s difference that a push did not book, where levels are the truth; an order in that time takes its part out.';
comment on column rejection.since is 'The shelf was accounted for until then, by the platform''s clock.';
comment on column rejection.units is 'What is rejected of it still, signed.';
comment on column rejection.undone is 'The push was undone: it is booked after all.';

alter table stretch add column rejected boolean not null default false;
comment on column stretch.rejected is 'A push rejected what it amounts to: nothing of it is booked.';

alter table wish add column actor text not null default '', add column args jsonb not null default '{}';
comment on column wish.actor is 'Who asks.';
comment on column wish.args is 'What else is asked: the rows of a file, for example.';

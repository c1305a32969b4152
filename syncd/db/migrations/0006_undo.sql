-- Undoing a first count takes the count away, and does not leave a zero behind.

alter table plan_row add column first boolean not null default false;
comment on column plan_row.first is 'What was booked was the first count of its item there; undone, it is not counted any more.';

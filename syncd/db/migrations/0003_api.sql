-- The API: its stored answers.

create table answer (
    actor        text not null,
    key          text not null,
    digest       bytea not null,
    status       smallint not null,
    body         bytea not null,
    location     text not null default '',
    answered_at  timestamptz not null,
    primary key (actor, key)
);
comment on table answer is 'Answers of the API by Idempotency-Key: a call sent again is not done again.';
comment on column answer.digest is 'Of method, path and body: the same key for another call is refused.';
create index answer_by_time on answer (answered_at);

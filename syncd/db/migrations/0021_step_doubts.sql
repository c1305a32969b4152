-- Order steps of which a platform does not say when they moved their shelf, or by how many changes.

alter table order_step
    add column first_at timestamptz,
    add column last_at timestamptz,
    add column least bigint,
    add column most bigint;
comment on column order_step.first_at is 'From then until last_at nobody knows how much of it had moved: least to most units. Null: it moved at once, at its time.';

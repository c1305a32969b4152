-- The schema after every migration. Renewed by `make schema`; a test compares it.

create table account (
    item_id bigint not null,
    warehouse_id integer not null,
    channel_id integer not null,
    units bigint not null,
    constraint account_pkey PRIMARY KEY (item_id, warehouse_id, channel_id)
) with (fillfactor=70);
comment on table account is 'What a channel may sell of an item in escrow; below 0 where it sold more than it had.';

create table alternation (
    listing_id bigint not null,
    theirs bigint not null,
    ours bigint not null,
    times smallint not null,
    repeats smallint not null,
    at_once smallint not null,
    last_at timestamp with time zone not null,
    constraint alternation_pkey PRIMARY KEY (listing_id)
);
comment on table alternation is 'A number found in place of the known one, and how often it came back after ours.';
comment on column alternation.at_once is 'So many of these times in the reading that followed our own write.';

create table annotation (
    id bigint not null generated always as identity,
    listing_id bigint not null,
    order_id text not null,
    number text not null default ''::text,
    kind text not null,
    units bigint not null,
    at timestamp with time zone not null,
    constraint annotation_pkey PRIMARY KEY (id)
);
CREATE INDEX annotation_by_listing ON public.annotation USING btree (listing_id);
comment on table annotation is 'Where levels are the truth, orders only explain: signed units an order moved and no reading has booked yet.';

create table announcement (
    listing_id bigint not null,
    at timestamp with time zone not null,
    constraint announcement_pkey PRIMARY KEY (listing_id)
);
comment on table announcement is 'When a listing whose raises are told in steps was last raised by one.';

create table answer (
    actor text not null,
    key text not null,
    digest bytea not null,
    status smallint not null,
    body bytea not null,
    location text not null default ''::text,
    answered_at timestamp with time zone not null,
    constraint answer_pkey PRIMARY KEY (actor, key)
);
CREATE INDEX answer_by_time ON public.answer USING btree (answered_at);
comment on table answer is 'Answers of the API by Idempotency-Key: a call sent again is not done again.';
comment on column answer.digest is 'Of method, path and body: the same key for another call is refused.';

create table attempt (
    id uuid not null,
    channel_id integer not null,
    op text not null,
    lease_gen bigint not null,
    created_at timestamp with time zone not null,
    times_sent integer not null default 0,
    last_sent_at timestamp with time zone,
    not_before timestamp with time zone not null,
    constraint attempt_pkey PRIMARY KEY (id),
    constraint attempt_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channel(id)
);
CREATE INDEX attempt_by_channel ON public.attempt USING btree (channel_id);
comment on table attempt is 'One write as stored before it is sent; its id is the key sent to the platform.';

create table attempt_row (
    listing_id bigint not null,
    attempt_id uuid not null,
    position smallint not null,
    from_quantity bigint,
    to_quantity bigint not null,
    level bigint not null,
    version bigint not null,
    turn bigint not null,
    received_at timestamp with time zone,
    inputs jsonb,
    constraint attempt_row_pkey PRIMARY KEY (listing_id),
    constraint attempt_row_attempt_id_fkey FOREIGN KEY (attempt_id) REFERENCES attempt(id) ON DELETE CASCADE
);
CREATE INDEX attempt_row_by_attempt ON public.attempt_row USING btree (attempt_id);
comment on table attempt_row is 'Immutable rows of an attempt; the key says that a listing has at most one.';
comment on column attempt_row.inputs is 'What its target was made from, as stock/policy.py stores it; null: of the level alone.';

create table bundle (
    item_id bigint not null,
    source text not null,
    actor text not null,
    changed_at timestamp with time zone not null,
    constraint bundle_pkey PRIMARY KEY (item_id),
    constraint bundle_item_id_fkey FOREIGN KEY (item_id) REFERENCES item(id),
    constraint bundle_source_check CHECK ((source = ANY (ARRAY['config'::text, 'csv'::text, 'api'::text, 'hand'::text])))
);
comment on table bundle is 'Items without stock of their own: they show how many of them their components make.';
comment on column bundle.source is 'Who said what it is made of; what the configuration says is changed there alone.';
comment on column bundle.changed_at is 'Our clock: when it was last said; a blind raise waits for an order fetch that began after it.';

create table channel (
    id integer not null generated always as identity,
    name text not null,
    platform text not null,
    orders_through timestamp with time zone,
    orders_asked_at timestamp with time zone,
    swept_at timestamp with time zone,
    lease_gen bigint not null default 0,
    switched boolean,
    switched_by text not null default ''::text,
    switched_at timestamp with time zone,
    heard_at timestamp with time zone,
    silent_from timestamp with time zone,
    silent_at timestamp with time zone,
    constraint channel_pkey PRIMARY KEY (id),
    constraint channel_name_key UNIQUE (name)
);
comment on table channel is 'One configured account on a platform; settings live in the configuration.';
comment on column channel.orders_through is 'Watermark: order changes before it were fetched and booked.';
comment on column channel.orders_asked_at is 'When, by our clock, the newest complete order fetch began.';
comment on column channel.lease_gen is 'Grows with every daemon that takes the lane; older generations settle nothing.';
comment on column channel.switched is 'A person switched it on or off while running; it beats the configuration. Null: as configured.';
comment on column channel.heard_at is 'Our clock: the newest reading or message of it, written down now and then.';
comment on column channel.silent_from is 'While it is silent: when it was last heard of before.';
comment on column channel.silent_at is 'When it was found silent; null: it is not.';

create table component (
    bundle_id bigint not null,
    component_id bigint not null,
    units integer not null,
    constraint component_pkey PRIMARY KEY (bundle_id, component_id),
    constraint component_bundle_id_fkey FOREIGN KEY (bundle_id) REFERENCES bundle(item_id) ON DELETE CASCADE,
    constraint component_component_id_fkey FOREIGN KEY (component_id) REFERENCES item(id),
    constraint component_check CHECK ((bundle_id <> component_id)),
    constraint component_units_check CHECK (((units >= 1) AND (units <= 1000000)))
);
CREATE INDEX component_by_component ON public.component USING btree (component_id);
comment on table component is 'Units of an item that one bundle takes; no component is a bundle itself.';

create table delivery_seen (
    channel_id integer not null,
    digest bytea not null,
    seen_on date not null,
    constraint delivery_seen_pkey PRIMARY KEY (channel_id, digest, seen_on)
) partition by RANGE (seen_on);
comment on table delivery_seen is 'Names of the deliveries received, to store each once; weekly partitions.';

create table exclusion (
    item_id bigint not null,
    channel_id integer,
    excluded boolean not null,
    actor text not null,
    at timestamp with time zone not null,
    constraint exclusion_item_id_channel_id_key UNIQUE NULLS NOT DISTINCT (item_id, channel_id),
    constraint exclusion_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channel(id),
    constraint exclusion_item_id_fkey FOREIGN KEY (item_id) REFERENCES item(id)
);
comment on table exclusion is 'Items that people took out of, or into, a channel (null: all), whatever the configuration says.';

create table inbox (
    id bigint not null default nextval('inbox_id'::regclass),
    channel_id integer not null,
    topic text not null,
    body bytea not null,
    triggered_at timestamp with time zone,
    received_at timestamp with time zone not null
) partition by RANGE (received_at);
CREATE INDEX inbox_by_id ON ONLY public.inbox USING btree (id);
comment on table inbox is 'Events exactly as received; daily partitions, dropped after the retention time.';

create table inbox_parked (
    event_id bigint not null,
    channel_id integer not null,
    received_at timestamp with time zone not null,
    parked_at timestamp with time zone not null,
    reason text not null,
    constraint inbox_parked_pkey PRIMARY KEY (event_id)
);
comment on table inbox_parked is 'Poison: events that could not be booked, with the reason, until a person acts.';

create table inbox_queue (
    event_id bigint not null,
    channel_id integer not null,
    received_at timestamp with time zone not null,
    not_before timestamp with time zone not null,
    constraint inbox_queue_pkey PRIMARY KEY (event_id)
) with (autovacuum_vacuum_cost_delay=0, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_threshold=200);
comment on table inbox_queue is 'Events not yet booked; a row leaves in the transaction that books it.';

create table item (
    id bigint not null generated always as identity,
    sku text not null,
    created_at timestamp with time zone not null,
    barcode text not null default ''::text,
    handle text not null default ''::text,
    channels integer[],
    constraint item_pkey PRIMARY KEY (id),
    constraint item_sku_key UNIQUE (sku)
);
CREATE INDEX item_by_barcode ON public.item USING btree (barcode) WHERE (barcode <> ''::text);
CREATE INDEX item_by_handle ON public.item USING btree (handle) WHERE (handle <> ''::text);
comment on table item is 'A thing we count, one per sku; sku is text, never a number.';
comment on column item.barcode is 'As its source has it; listings are matched by it where their channel says so.';
comment on column item.handle is 'The source''s name in addresses, with the variant''s options; likewise.';
comment on column item.channels is 'The channels it is offered on; null: on all.';

create table item_gone (
    item_id bigint not null,
    warehouse_id integer not null,
    at timestamp with time zone not null,
    constraint item_gone_pkey PRIMARY KEY (item_id, warehouse_id),
    constraint item_gone_item_id_fkey FOREIGN KEY (item_id) REFERENCES item(id),
    constraint item_gone_warehouse_id_fkey FOREIGN KEY (warehouse_id) REFERENCES warehouse(id)
);
comment on table item_gone is 'Items whose source does not list them any more: kept, not raised, told.';

create table journal (
    at timestamp with time zone not null,
    channel_id integer,
    listing_id bigint,
    sku text not null,
    outcome text not null,
    before bigint,
    after bigint,
    reason text not null default ''::text,
    detail jsonb
) partition by RANGE (at);
CREATE INDEX journal_by_outcome ON ONLY public.journal USING btree (outcome, at DESC) WHERE (outcome <> 'delivered'::text);
CREATE INDEX journal_by_sku ON ONLY public.journal USING btree (sku, at DESC);
CREATE INDEX journal_by_time ON ONLY public.journal USING btree (at DESC);
comment on table journal is 'The searchable record of what was done, skipped and failed, per sku; monthly partitions.';

create table level (
    item_id bigint not null,
    warehouse_id integer not null,
    quantity bigint not null,
    changed_at timestamp with time zone not null,
    seeded_at timestamp with time zone not null,
    counted_at timestamp with time zone,
    constraint level_pkey PRIMARY KEY (item_id, warehouse_id),
    constraint level_item_id_fkey FOREIGN KEY (item_id) REFERENCES item(id),
    constraint level_warehouse_id_fkey FOREIGN KEY (warehouse_id) REFERENCES warehouse(id)
) with (fillfactor=70);
comment on table level is 'Sellable quantity: always the sum of its movements; negative means oversold.';
comment on column level.changed_at is 'Our clock; a blind raise waits for an order fetch that began after it.';
comment on column level.seeded_at is 'Orders created before it are inside the first count and move nothing.';
comment on column level.counted_at is 'The newest moment at which it was counted; a movement that occurred before it is inside that count.';

create table listing (
    id bigint not null generated always as identity,
    channel_id integer not null,
    location text not null,
    remote text not null,
    alias text not null default ''::text,
    batch_group text not null default ''::text,
    sku text not null,
    title text not null default ''::text,
    item_id bigint,
    warehouse_id integer,
    managed boolean not null,
    skip text not null default ''::text,
    gone_at timestamp with time zone,
    barcode text not null default ''::text,
    handle text not null default ''::text,
    known_as text,
    linked_by text not null default ''::text,
    tagged boolean not null default false,
    withheld text not null default ''::text,
    orphaned boolean not null default false,
    constraint listing_pkey PRIMARY KEY (id),
    constraint listing_channel_id_remote_location_key UNIQUE (channel_id, remote, location),
    constraint listing_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channel(id),
    constraint listing_item_id_fkey FOREIGN KEY (item_id) REFERENCES item(id),
    constraint listing_place FOREIGN KEY (channel_id, location, warehouse_id) REFERENCES place(channel_id, location, warehouse_id) ON UPDATE CASCADE,
    constraint listing_warehouse_id_fkey FOREIGN KEY (warehouse_id) REFERENCES warehouse(id),
    constraint listing_linked_by_check CHECK ((linked_by = ANY (ARRAY[''::text, 'sku'::text, 'barcode'::text, 'handle'::text, 'hand'::text, 'cut'::text]))),
    constraint listing_withheld_check CHECK ((withheld = ANY (ARRAY[''::text, 'included'::text, 'excluded'::text, 'elsewhere'::text, 'tagged'::text])))
);
CREATE INDEX listing_by_alias ON public.listing USING btree (channel_id, alias) WHERE (alias <> ''::text);
CREATE INDEX listing_by_item ON public.listing USING btree (item_id, warehouse_id) WHERE (item_id IS NOT NULL);
CREATE INDEX listing_by_sku ON public.listing USING btree (channel_id, sku);
CREATE INDEX listing_waiting_barcode ON public.listing USING btree (barcode) WHERE ((item_id IS NULL) AND (barcode <> ''::text));
CREATE INDEX listing_waiting_handle ON public.listing USING btree (handle) WHERE ((item_id IS NULL) AND (handle <> ''::text));
CREATE INDEX listing_waiting_sku ON public.listing USING btree (sku) WHERE (item_id IS NULL);
comment on table listing is 'One item as one channel location shows it, with the platform''s ids.';
comment on column listing.alias is 'A second id by which order lines name it.';
comment on column listing.batch_group is 'Only listings of one group can share a write.';
comment on column listing.skip is 'Why nothing is delivered to it (unlinked, unmapped, duplicate, excluded); empty: it is served.';
comment on column listing.known_as is 'The sku of its item where its own is another or none: rules and journal go by it.';
comment on column listing.linked_by is 'The rule that made its link; hand: a person did; cut: a person unlinked it, and no rule may link it.';
comment on column listing.tagged is 'It bears a tag that its channel excludes.';
comment on column listing.withheld is 'Why it is not offered, beside the configuration: what people switched, its item''s channels, its tags; included: a person said so, whatever else does.';
comment on column listing.orphaned is 'Its item is gone at the source of its warehouse: it is not raised.';

create table look (
    listing_id bigint not null,
    channel_id integer not null,
    wish bigint not null default nextval('turn'::regclass),
    expected bigint,
    reason text not null,
    received_at timestamp with time zone,
    wished_at timestamp with time zone not null,
    not_before timestamp with time zone not null,
    constraint look_pkey PRIMARY KEY (listing_id)
) with (autovacuum_vacuum_cost_delay=0, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_threshold=200);
CREATE INDEX look_due ON public.look USING btree (channel_id, not_before);
comment on table look is 'The wish to read a listing; a wish made after the asking survives the reading.';
comment on column look.expected is 'The wish is off if the shelf is known to show this by the time it is due: spares dear readings.';

create table mark (
    item_id bigint not null,
    warehouse_id integer not null,
    movement_id bigint not null,
    recorded_at timestamp with time zone not null,
    sums jsonb not null,
    constraint mark_pkey PRIMARY KEY (item_id, warehouse_id, movement_id)
);
comment on table mark is 'What an item''s movements up to this one add up to, by kind; only where there are many.';
comment on column mark.recorded_at is 'All movements up to it were recorded by then, and all later ones after.';
comment on column mark.sums is 'By kind: [count, units, first recorded, last recorded], the times as text.';

create table marked (
    only_row boolean not null default true,
    movement_id bigint not null,
    constraint marked_pkey PRIMARY KEY (only_row),
    constraint marked_only_row_check CHECK (only_row)
);
comment on table marked is 'Through which movement the marks are made.';

create table movement (
    id bigint not null generated always as identity,
    item_id bigint not null,
    warehouse_id integer not null,
    delta bigint not null,
    kind text not null,
    cause text not null,
    channel_id integer,
    event_id bigint,
    actor text not null,
    note text not null default ''::text,
    occurred_at timestamp with time zone not null,
    recorded_at timestamp with time zone not null,
    constraint movement_pkey PRIMARY KEY (item_id, warehouse_id, id),
    constraint movement_cause_item_id_warehouse_id_key UNIQUE (cause, item_id, warehouse_id),
    constraint movement_delta_check CHECK (((delta >= '-1000000000'::integer) AND (delta <= 1000000000))),
    constraint movement_kind_check CHECK ((kind = ANY (ARRAY['sale'::text, 'cancellation'::text, 'refund'::text, 'restock'::text, 'receipt'::text, 'pick'::text, 'adjustment'::text, 'stocktake'::text, 'transfer'::text, 'seed'::text, 'edit'::text, 'correction'::text])))
) with (autovacuum_vacuum_insert_scale_factor=0.05);
CREATE INDEX movement_by_id ON public.movement USING brin (id) WITH (autosummarize='on');
CREATE INDEX movement_by_time ON public.movement USING brin (recorded_at) WITH (autosummarize='on');
comment on table movement is 'The ledger: signed, immutable rows; a cause happens at most once per item and warehouse.';

create table order_line (
    channel_id integer not null,
    order_id text not null,
    line_id text not null,
    location text not null,
    listing_id bigint,
    item_id bigint,
    warehouse_id integer,
    taken bigint not null,
    booked bigint not null,
    revision integer not null,
    part bigint not null default 0,
    units integer not null default 1,
    held bigint not null default 0,
    held_until timestamp with time zone,
    based bigint,
    came_back bigint,
    constraint order_line_pkey PRIMARY KEY (channel_id, order_id, line_id, location, part)
) with (fillfactor=80);
CREATE INDEX order_line_expiring ON public.order_line USING btree (held_until) WHERE (held_until IS NOT NULL);
CREATE INDEX order_line_held ON public.order_line USING btree (item_id, warehouse_id) WHERE (held <> 0);
comment on table order_line is 'What each order line holds off its shelf (taken) and what of it the ledger has (booked).';
comment on column order_line.part is 'The component that this row holds of a bundle''s line; 0: the line itself, which books nothing where it has parts.';
comment on column order_line.units is 'Units of the component in one bundle, as it was made when the line was first booked.';
comment on column order_line.held is 'Units promised and not booked: they lower the other listings of the item, its own only by what is taken of them.';
comment on column order_line.held_until is 'When the platform takes no payment any more; null: as long as it is not cancelled.';
comment on column order_line.based is 'Where units are owed once paid: so many are owed unpaid, since a count or a cut-over lacks them; null: not known.';
comment on column order_line.came_back is 'Where returned units are never owed back: so many of them were before that began; null: not known.';

create table order_look (
    channel_id integer not null,
    order_id text not null,
    wish bigint not null default nextval('turn'::regclass),
    tries smallint not null default 0,
    not_before timestamp with time zone not null,
    constraint order_look_pkey PRIMARY KEY (channel_id, order_id),
    constraint order_look_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channel(id)
);
comment on table order_look is 'Orders to fetch because their message did not say enough.';

create table order_step (
    listing_id bigint not null,
    at timestamp with time zone not null,
    units bigint not null,
    first_at timestamp with time zone,
    last_at timestamp with time zone,
    least bigint,
    most bigint
);
CREATE INDEX order_step_by_listing ON public.order_step USING btree (listing_id, at);
comment on table order_step is 'When orders moved a followed listing''s shelf, by the platform''s clock, and by how many units taken.';
comment on column order_step.first_at is 'From then until last_at nobody knows how much of it had moved: least to most units. Null: it moved at once, at its time.';

create table outbox (
    listing_id bigint not null,
    channel_id integer not null,
    version bigint not null default 1,
    rank smallint not null,
    risk bigint not null,
    forced boolean not null default false,
    owed_at timestamp with time zone not null,
    received_at timestamp with time zone,
    not_before timestamp with time zone not null,
    tries smallint not null default 0,
    batch_cap smallint not null default 32767,
    parked_at timestamp with time zone,
    reason text not null default ''::text,
    constraint outbox_pkey PRIMARY KEY (listing_id)
) with (autovacuum_vacuum_cost_delay=0, autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_threshold=200, fillfactor=70);
CREATE INDEX outbox_by_age ON public.outbox USING btree (channel_id, owed_at) WHERE (parked_at IS NULL);
CREATE INDEX outbox_by_rank ON public.outbox USING btree (channel_id, rank, owed_at) WHERE (parked_at IS NULL);
CREATE INDEX outbox_put_off ON public.outbox USING btree (channel_id, not_before) WHERE ((parked_at IS NULL) AND (tries > 0));
comment on table outbox is 'Desired state: at most one delivery per listing; a newer target bumps the version.';
comment on column outbox.rank is '0 falls to zero, 1 falls, 2 rises or unknown; with age, the order inside a lane.';
comment on column outbox.risk is 'Units shown too high when it was owed.';
comment on column outbox.batch_cap is 'Largest batch this row may go in after one failed without naming a row.';

create table place (
    channel_id integer not null,
    location text not null,
    warehouse_id integer not null,
    divided boolean not null default false,
    position integer not null default 0,
    constraint place_pkey PRIMARY KEY (channel_id, location),
    constraint place_channel_id_location_warehouse_id_key UNIQUE (channel_id, location, warehouse_id),
    constraint place_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channel(id),
    constraint place_warehouse_id_fkey FOREIGN KEY (warehouse_id) REFERENCES warehouse(id)
);
CREATE INDEX place_divided ON public.place USING btree (warehouse_id) WHERE divided;
comment on table place is 'A location of a channel feeds one warehouse at most, whatever the configuration says.';
comment on column place.divided is 'Its channel''s other locations in the warehouse and it divide the target between them.';
comment on column place.position is 'Who comes first when it is divided: as the configuration names them, then by id.';

create table plan (
    id bigint not null generated always as identity,
    kind text not null,
    state text not null,
    title text not null,
    actor text not null,
    channel_id integer,
    undoes bigint,
    created_at timestamp with time zone not null,
    expires_at timestamp with time zone,
    decided_at timestamp with time zone,
    decided_by text not null default ''::text,
    done_at timestamp with time zone,
    rows integer not null default 0,
    done integer not null default 0,
    summary jsonb not null default '{}'::jsonb,
    constraint plan_pkey PRIMARY KEY (id),
    constraint plan_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channel(id),
    constraint plan_undoes_fkey FOREIGN KEY (undoes) REFERENCES plan(id),
    constraint plan_state_check CHECK ((state = ANY (ARRAY['loading'::text, 'open'::text, 'applying'::text, 'applied'::text, 'rejected'::text, 'expired'::text])))
);
CREATE INDEX plan_open ON public.plan USING btree (id) WHERE (state = ANY (ARRAY['loading'::text, 'open'::text, 'applying'::text]));
comment on table plan is 'A change of many counts or listings that was asked for, waits for a person, or was made.';
comment on column plan.state is 'loading: its rows are still coming; applying: it is being made, and goes on after a crash.';
comment on column plan.expires_at is 'An open plan is closed after this; null: it waits.';
comment on column plan.summary is 'What it would change when it was made: in all, and on each channel.';

create table plan_row (
    plan_id bigint not null,
    position integer not null,
    source_row integer not null default 0,
    sku text not null,
    item_id bigint,
    warehouse_id integer not null,
    quantity bigint,
    seen bigint,
    units bigint,
    counted_at timestamp with time zone,
    delta bigint,
    applied_at timestamp with time zone,
    first boolean not null default false,
    counted text not null default 'available'::text,
    of_count text,
    listing_id bigint,
    began_at timestamp with time zone,
    constraint plan_row_pkey PRIMARY KEY (plan_id, "position"),
    constraint plan_row_plan_id_fkey FOREIGN KEY (plan_id) REFERENCES plan(id) ON DELETE CASCADE,
    constraint plan_row_counted_check CHECK ((counted = ANY (ARRAY['available'::text, 'on_hand'::text])))
);
CREATE INDEX plan_row_of_stretch ON public.plan_row USING btree (listing_id, began_at) WHERE (listing_id IS NOT NULL);
comment on table plan_row is 'One count of a plan: counted, set over a level that was seen, or units to book as they are.';
comment on column plan_row.source_row is 'The row of the file it came from.';
comment on column plan_row.item_id is 'Null: the sku becomes an item when the plan is applied.';
comment on column plan_row.quantity is 'What was counted, or what is to be there instead of `seen`.';
comment on column plan_row.units is 'Signed units to book as they are: what an undo gives back.';
comment on column plan_row.delta is 'What was booked; computed when it was applied, from the level of that moment.';
comment on column plan_row.first is 'What was booked was the first count of its item there; undone, it is not counted any more.';
comment on column plan_row.counted is 'What its quantity says: what can be sold, or what lies there.';
comment on column plan_row.of_count is 'Of an undo: the cause of the count that holds no more, or again.';
comment on column plan_row.listing_id is 'Of a push, and of what undoes one: where an edit was rejected; `delta` is less by it.';
comment on column plan_row.began_at is 'When that edit was found, by the platform''s clock; of a blind channel: when its stretch began.';

create table posted_order (
    order_id text not null,
    body bytea not null,
    actor text not null,
    posted_at timestamp with time zone not null,
    constraint posted_order_pkey PRIMARY KEY (order_id)
);
comment on table posted_order is 'Orders of no channel, as posted last: nobody else can be asked for them again.';

create table posting (
    channel_id integer not null,
    cause text not null,
    item_id bigint not null,
    warehouse_id integer not null,
    post text not null,
    delta bigint,
    order_channel_id integer,
    order_ref text not null default ''::text,
    standing text not null,
    booked bigint not null,
    revision integer not null,
    digest bytea not null,
    actor text not null,
    note text not null,
    occurred_at timestamp with time zone not null,
    suspense_id bigint,
    recorded_at timestamp with time zone not null,
    constraint posting_pkey PRIMARY KEY (channel_id, cause, item_id, warehouse_id),
    constraint posting_standing_check CHECK ((standing = ANY (ARRAY['booked'::text, 'kept'::text, 'provisional'::text, 'suspense'::text, 'answered'::text])))
);
CREATE INDEX posting_by_cause ON public.posting USING btree (cause);
CREATE INDEX posting_by_order ON public.posting USING btree (order_ref, item_id, warehouse_id) WHERE (order_ref <> ''::text);
CREATE INDEX posting_by_suspense ON public.posting USING btree (suspense_id) WHERE (suspense_id IS NOT NULL);
CREATE INDEX posting_unheard ON public.posting USING btree (recorded_at) WHERE (standing = ANY (ARRAY['provisional'::text, 'suspense'::text, 'answered'::text]));
comment on table posting is 'Movements as they were posted, each cause once, with what is booked of each.';
comment on column posting.delta is 'As posted; null: a count (stock_count has it).';
comment on column posting.order_ref is 'The order it names, by id or number without a leading #.';

create table rejection (
    listing_id bigint not null,
    at timestamp with time zone not null,
    since timestamp with time zone not null,
    units bigint not null,
    undone boolean not null default false,
    recorded_at timestamp with time zone not null,
    constraint rejection_pkey PRIMARY KEY (listing_id, at)
);
comment on table rejection is 'Units of a shelf''s difference that a push did not book, where levels are the truth; an order in that time takes its part out.';
comment on column rejection.since is 'The shelf was accounted for until then, by the platform''s clock.';
comment on column rejection.units is 'What is rejected of it still, signed.';
comment on column rejection.undone is 'The push was undone: it is booked after all.';

create table retirement (
    listing_id bigint not null,
    channel_id integer not null,
    wants boolean not null,
    retired boolean not null default false,
    unsure boolean not null default false,
    owed_at timestamp with time zone not null,
    not_before timestamp with time zone not null,
    tries smallint not null default 0,
    parked_at timestamp with time zone,
    reason text not null default ''::text,
    constraint retirement_pkey PRIMARY KEY (listing_id)
) with (fillfactor=70);
CREATE INDEX retirement_owed ON public.retirement USING btree (channel_id, not_before) WHERE ((parked_at IS NULL) AND (unsure OR (wants <> retired)));
comment on table retirement is 'Listings that are taken out of sale when they show 0: what is wanted, and what the platform confirmed.';
comment on column retirement.wants is 'True: out of sale; false: on sale again.';
comment on column retirement.retired is 'What the platform confirmed last.';
comment on column retirement.unsure is 'It was asked for something and has not answered yet: what is wanted is asked again until it does.';

create table rule_in_force (
    channel_id integer not null,
    truth text not null,
    edits text not null,
    enabled boolean not null,
    locations jsonb not null,
    cut_at timestamp with time zone,
    changed_at timestamp with time zone not null,
    constraint rule_in_force_pkey PRIMARY KEY (channel_id),
    constraint rule_in_force_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channel(id)
);
comment on table rule_in_force is 'What is booked by, per channel; a configuration that differs takes a cut-over first.';
comment on column rule_in_force.locations is 'Warehouse ids by location; "*" is the fallback.';
comment on column rule_in_force.cut_at is 'When the truth changed last: what orders did before it moves nothing any more.';

create table sales (
    item_id bigint not null,
    warehouse_id integer not null,
    channel_id integer not null,
    sold bigint not null,
    hours integer not null,
    unseen bigint not null default 0,
    constraint sales_pkey PRIMARY KEY (item_id, warehouse_id, channel_id),
    constraint sales_hours_check CHECK ((hours > 0)),
    constraint sales_sold_check CHECK ((sold > 0)),
    constraint sales_unseen_check CHECK ((unseen >= 0))
) with (fillfactor=70);
CREATE INDEX sales_by_channel ON public.sales USING btree (channel_id);
comment on table sales is 'Units sold of late, of the items that a rule asks it of: a speed buffer, or a channel that may fall silent.';
comment on column sales.channel_id is 'Whose sales; 0: nobody''s.';
comment on column sales.hours is 'In how many hours they were sold.';
comment on column sales.unseen is 'Units this channel may have sold since nothing was heard of it: every other one shows so many less.';

create table sales_order (
    channel_id integer not null,
    order_id text not null,
    number text not null default ''::text,
    version bigint not null,
    digest bytea not null,
    terminal boolean not null,
    placed_at timestamp with time zone,
    constraint sales_order_pkey PRIMARY KEY (channel_id, order_id)
) with (fillfactor=80);
CREATE INDEX sales_order_by_number ON public.sales_order USING btree (number) WHERE (number <> ''::text);
CREATE INDEX sales_order_by_time ON public.sales_order USING brin (placed_at);
comment on table sales_order is 'The newest state of an order that was booked; terminal states are absorbing.';
comment on column sales_order.placed_at is 'By the platform''s clock, as first heard; a first count that was read before it does not hold the order.';

create table schema_migration (
    number integer not null,
    name text not null,
    sha256 text not null,
    applied_at timestamp with time zone not null default now(),
    constraint schema_migration_pkey PRIMARY KEY (number)
);
comment on table schema_migration is 'The migration files that were applied, and what they said then';

create table shelf (
    listing_id bigint not null,
    shown bigint,
    shown_at timestamp with time zone,
    turn bigint not null default nextval('turn'::regclass),
    attempt_id uuid,
    stale_times smallint not null default 0,
    lag_asks smallint not null default 0,
    surprised_at timestamp with time zone,
    quarantined_at timestamp with time zone,
    observed bigint,
    observed_at timestamp with time zone,
    held_by bigint,
    keeps bigint,
    followed boolean not null default false,
    held boolean not null default false,
    pushed bigint,
    rejected boolean not null default false,
    constraint shelf_pkey PRIMARY KEY (listing_id),
    constraint shelf_listing_id_fkey FOREIGN KEY (listing_id) REFERENCES listing(id)
) with (fillfactor=70);
CREATE INDEX shelf_held ON public.shelf USING btree (held_by, listing_id) WHERE (held_by IS NOT NULL);
comment on table shelf is 'The hot half of a listing; no index but the key, so that every update is heap-only.';
comment on column shelf.shown is 'Last value that is accounted for (levels) or predicted (orders); null: not known yet.';
comment on column shelf.shown_at is 'The platform''s stamp of it.';
comment on column shelf.attempt_id is 'The one open attempt; while set, nothing is read, attributed or written.';
comment on column shelf.surprised_at is 'Our clock: when a reading last found what no order explains; a blind raise waits for an order fetch that began after it.';
comment on column shelf.quarantined_at is 'Since when nothing is written, since another writer puts its own number back each time.';
comment on column shelf.observed is 'What the newest reading that said something new said, for people; nothing is decided by it.';
comment on column shelf.held_by is 'The plan that holds what its listing is owed; null: none.';
comment on column shelf.keeps is 'What a held listing shows meanwhile; null: not known yet, and nothing is written.';
comment on column shelf.followed is 'Stretches of it are kept: order steps are noted, and a reading ends or extends the open one.';
comment on column shelf.held is 'A person is asked about a count that was changed here (edits = "alert"): nothing is written until then.';
comment on column shelf.pushed is 'The plan of a push whose reading has not come yet: what orders do not explain of it is rejected.';
comment on column shelf.rejected is 'A push rejected something here not long ago: an order that turns up late may explain it.';

create table stock_count (
    id bigint not null generated always as identity,
    item_id bigint not null,
    warehouse_id integer not null,
    counted_at timestamp with time zone not null,
    quantity bigint not null,
    counted text not null,
    waiting bigint not null default 0,
    booked bigint not null default 0,
    revision integer not null default 0,
    cause text not null,
    channel_id integer,
    actor text not null,
    note text not null default ''::text,
    recorded_at timestamp with time zone not null,
    undone boolean not null default false,
    constraint stock_count_pkey PRIMARY KEY (id),
    constraint stock_count_item_id_warehouse_id_cause_key UNIQUE (item_id, warehouse_id, cause),
    constraint stock_count_counted_check CHECK ((counted = ANY (ARRAY['available'::text, 'on_hand'::text])))
);
CREATE INDEX stock_count_by_time ON public.stock_count USING btree (item_id, warehouse_id, counted_at, id);
comment on table stock_count is 'Counts as they were made, and what each has moved the level by.';
comment on column stock_count.waiting is 'Units sold and neither picked nor shipped then: on hand, and not to be sold.';
comment on column stock_count.undone is 'It was taken back: nothing is inside it, until it holds again.';

create table stretch (
    listing_id bigint not null,
    t0 timestamp with time zone not null,
    start_kind text not null,
    v0 bigint not null,
    a timestamp with time zone,
    va bigint,
    late_until timestamp with time zone,
    watch_at timestamp with time zone[] not null,
    watch_value bigint[] not null,
    b timestamp with time zone,
    vb bigint,
    end_kind text not null,
    settled boolean not null,
    booked bigint not null,
    candidates bigint[] not null,
    proposal bigint not null,
    in_suspense boolean not null,
    revision integer not null,
    channel_id integer not null,
    read_at timestamp with time zone not null,
    ahead interval not null,
    due_at timestamp with time zone,
    rejected boolean not null default false,
    constraint stretch_pkey PRIMARY KEY (listing_id, t0),
    constraint stretch_end_kind_check CHECK ((end_kind = ANY (ARRAY['write'::text, 'split'::text, 'open'::text]))),
    constraint stretch_start_kind_check CHECK ((start_kind = ANY (ARRAY['reading'::text, 'write'::text, 'unknown'::text])))
);
CREATE INDEX stretch_due ON public.stretch USING btree (channel_id, due_at) WHERE (due_at IS NOT NULL);
CREATE UNIQUE INDEX stretch_open ON public.stretch USING btree (listing_id) WHERE (end_kind = 'open'::text);
CREATE INDEX stretch_unsettled ON public.stretch USING btree (listing_id) WHERE ((NOT settled) OR in_suspense);
comment on table stretch is 'The time between two own writes, or two exact readings, of a blind channel''s listing; all times but read_at and due_at are the platform''s.';
comment on column stretch.late_until is 'Until then an unanswered write may still land, and nothing is written.';
comment on column stretch.booked is 'What the ledger holds of it, by so many revisions.';
comment on column stretch.read_at is 'Our clock: when the newest reading in it was asked for.';
comment on column stretch.ahead is 'How far the platform''s clock was ahead of ours at that reading.';
comment on column stretch.due_at is 'Our clock: when it can be split or settled; null: it waits for nothing.';
comment on column stretch.rejected is 'A push rejected what it amounts to: nothing of it is booked.';

create table suspense (
    id bigint not null generated always as identity,
    listing_id bigint,
    item_id bigint,
    warehouse_id integer,
    reason text not null,
    candidates bigint[] not null,
    proposal bigint not null,
    evidence jsonb not null,
    created_at timestamp with time zone not null,
    resolved_at timestamp with time zone,
    resolution text,
    counted boolean not null default true,
    channel_id integer,
    stretch_t0 timestamp with time zone,
    answer bigint,
    answer_to bigint[],
    answered_by text not null default ''::text,
    constraint suspense_pkey PRIMARY KEY (id),
    constraint suspense_listing_id_fkey FOREIGN KEY (listing_id) REFERENCES listing(id)
);
CREATE INDEX suspense_counted ON public.suspense USING btree (item_id, warehouse_id) WHERE ((resolved_at IS NULL) AND counted);
CREATE UNIQUE INDEX suspense_of_stretch ON public.suspense USING btree (listing_id, stretch_t0) WHERE ((resolved_at IS NULL) AND (stretch_t0 IS NOT NULL));
CREATE INDEX suspense_open ON public.suspense USING btree (listing_id) WHERE (resolved_at IS NULL);
comment on table suspense is 'Amounts that could not be attributed with certainty; a person decides.';
comment on column suspense.listing_id is 'Null: of no listing, but of an item; channel_id says who told of it.';
comment on column suspense.counted is 'False: its listing''s row in `suspicion` holds its amount already.';
comment on column suspense.stretch_t0 is 'The stretch (with listing_id) that asks; null: not an edit.';
comment on column suspense.answer is 'The amount a person gave, until the daemon has booked it.';
comment on column suspense.answer_to is 'The candidates that the person saw: others since ask anew.';

create table suspicion (
    listing_id bigint not null,
    item_id bigint not null,
    warehouse_id integer not null,
    own bigint not null,
    others bigint not null,
    changed_at timestamp with time zone not null,
    constraint suspicion_pkey PRIMARY KEY (listing_id),
    constraint suspicion_others_check CHECK ((others <= 0))
) with (fillfactor=70);
CREATE INDEX suspicion_by_item ON public.suspicion USING btree (item_id, warehouse_id);
comment on table suspicion is 'Units that people seem to have changed on a listing and that are not booked: its open amount; none, no row.';
comment on column suspicion.own is 'Proposed: added to its own target, whatever the sign.';
comment on column suspicion.others is 'At the lowest, never above 0: every other listing of the item there shows so many less.';

create table transfer (
    item_id bigint not null,
    warehouse_id integer not null,
    giver_id integer not null,
    taker_id integer not null,
    units bigint not null,
    begun_at timestamp with time zone not null,
    constraint transfer_pkey PRIMARY KEY (item_id, warehouse_id, giver_id, taker_id),
    constraint transfer_check CHECK ((taker_id <> giver_id)),
    constraint transfer_units_check CHECK ((units > 0))
);
comment on table transfer is 'Units under way between accounts: taken from the giver, who has to show less before the taker has them.';

create table warehouse (
    id integer not null generated always as identity,
    name text not null,
    seeded_at timestamp with time zone,
    constraint warehouse_pkey PRIMARY KEY (id),
    constraint warehouse_name_key UNIQUE (name)
);
comment on table warehouse is 'One pool of stock.';
comment on column warehouse.seeded_at is 'When its source first gave it counts; later items of the source join by themselves.';

create table wish (
    id bigint not null generated always as identity,
    kind text not null,
    channel text,
    skus text[],
    asked_at timestamp with time zone not null,
    started_at timestamp with time zone,
    done_at timestamp with time zone,
    result jsonb,
    plan_id bigint,
    actor text not null default ''::text,
    args jsonb not null default '{}'::jsonb,
    constraint wish_pkey PRIMARY KEY (id),
    constraint wish_kind_check CHECK ((kind <> ''::text))
);
CREATE INDEX wish_open ON public.wish USING btree (id) WHERE (done_at IS NULL);
comment on table wish is 'What other processes ask the daemon to do; NOTIFY syncd is its doorbell.';
comment on column wish.plan_id is 'The plan that is to be applied.';
comment on column wish.actor is 'Who asks.';
comment on column wish.args is 'What else is asked: the rows of a file, for example.';

create sequence inbox_id;

create sequence turn;

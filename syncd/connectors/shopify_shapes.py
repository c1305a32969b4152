"""What Shopify's answers, bulk files and webhooks look like: only the fields that are read."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType, field


class Cost(Struct, rename="camel"):
    actual_query_cost: float | None = None


class Extensions(Struct):
    cost: Cost = field(default_factory=Cost)


class Priced(Struct):
    """Any answer, for what it cost."""

    extensions: Extensions = field(default_factory=Extensions)


class PageInfo(Struct, rename="camel"):
    has_next_page: bool
    end_cursor: str | None = None


class Named(Struct):
    """A reference to another object: only its gid."""

    id: str


class Quantity(Struct, rename="camel"):
    quantity: int
    updated_at: str | None = None


class LevelRead(Struct, rename="camel"):
    quantities: list[Quantity]
    is_active: bool = True


class ItemRead(Struct, rename="camel"):
    """One node of READ_LEVELS; `tracked` UNSET where the gid named something else."""

    id: str = ""
    tracked: bool | UnsetType = UNSET
    inventory_level: LevelRead | None = None


class ItemsRead(Struct):
    nodes: list[ItemRead | None]


class ProductPart(Struct):
    id: str
    handle: str = ""
    title: str = ""
    tags: tuple[str, ...] = ()


class VariantPart(Struct, rename="camel"):
    id: str
    product: ProductPart
    barcode: str | None = None
    title: str = ""
    requires_components: bool = False
    """It is the parent of one of Shopify's own bundles: Shopify moves its components itself."""


class VariantNodes(Struct):
    nodes: list[VariantPart]


class LevelPart(Struct):
    location: Named
    quantities: list[Quantity]


class LevelNodes(Struct, rename="camel"):
    nodes: list[LevelPart]
    page_info: PageInfo


class ItemPart(Struct, rename="camel"):
    id: str
    tracked: bool
    inventory_levels: LevelNodes
    variants: VariantNodes | None = None
    sku: str | None = None


class ItemNodes(Struct, rename="camel"):
    nodes: list[ItemPart]
    page_info: PageInfo


class BulkLine(Struct, rename="camel"):
    """One line of a bulk file: an item, or a variant or level of the item named as its parent."""

    id: str
    parent_id: str | None = field(name="__parentId", default=None)
    sku: str | None = None
    tracked: bool = False
    barcode: str | None = None
    title: str = ""
    requires_components: bool = False
    product: ProductPart | None = None
    location: Named | None = None
    quantities: list[Quantity] = []


class BulkState(Struct, rename="camel"):
    id: str
    status: str
    object_count: str | int = 0
    error_code: str | None = None
    url: str | None = None


class UserError(Struct):
    message: str
    code: str | None = None
    field: list[str] | None = None


class Group(Struct, rename="camel"):
    created_at: str | None = None


class Written(Struct, rename="camel"):
    user_errors: list[UserError]
    inventory_adjustment_group: Group | None = None


class BulkStarted(Struct, rename="camel"):
    user_errors: list[UserError]
    bulk_operation: BulkState | None = None


class Subscribed(Struct, rename="camel"):
    user_errors: list[UserError]


class LocationPart(Struct, rename="camel"):
    id: str
    name: str
    is_active: bool


class LocationNodes(Struct, rename="camel"):
    nodes: list[LocationPart]
    page_info: PageInfo


class OrderLine(Struct, rename="camel"):
    id: str
    quantity: int
    current_quantity: int
    sku: str | None = None
    variant: Named | None = None


class OrderLines(Struct, rename="camel"):
    nodes: list[OrderLine]
    page_info: PageInfo


class RefundPart(Struct, rename="camel"):
    id: str
    created_at: str | None = None


class OrderPart(Struct, rename="camel"):
    id: str
    name: str
    created_at: str
    updated_at: str
    line_items: OrderLines
    refunds: list[RefundPart]
    cancelled_at: str | None = None
    display_financial_status: str | None = None


class OrderNodes(Struct, rename="camel"):
    nodes: list[OrderPart]
    page_info: PageInfo


class RefundLine(Struct, rename="camel"):
    quantity: int
    restock_type: str
    line_item: Named
    location: Named | None = None


class RefundLineNodes(Struct, rename="camel"):
    nodes: list[RefundLine]
    page_info: PageInfo


class AssignedLocation(Struct):
    location: Named | None = None


class PlacedLine(Struct, rename="camel"):
    total_quantity: int
    line_item: Named


class PlacedLines(Struct, rename="camel"):
    nodes: list[PlacedLine]
    page_info: PageInfo


class FulfilmentPart(Struct, rename="camel"):
    id: str
    assigned_location: AssignedLocation
    line_items: PlacedLines
    created_at: str | None = None


class MorePlacedLines(Struct, rename="camel"):
    line_items: PlacedLines


class MorePlaced(Struct):
    nodes: tuple[MorePlacedLines]


class FulfilmentNodes(Struct, rename="camel"):
    nodes: list[FulfilmentPart]
    page_info: PageInfo


class WebhookPart(Struct, rename="camel"):
    id: str
    topic: str
    uri: str
    format: str
    include_fields: list[str] = []
    filter: str | None = None


class WebhookNodes(Struct, rename="camel"):
    nodes: list[WebhookPart]
    page_info: PageInfo


Id = int | str
"""An id in a webhook: a JSON integer, often beyond 2^53, read exactly."""


class HookLevel(Struct):
    inventory_item_id: Id
    location_id: Id
    available: int | None = None
    updated_at: str | None = None


class HookId(Struct):
    id: Id


class HookRefund(Struct):
    order_id: Id


class HookEdit(Struct):
    order_edit: HookRefund


class HookVariant(Struct):
    inventory_item_id: Id | None = None


class HookProduct(Struct):
    variants: list[HookVariant] = []


class HookLine(Struct):
    id: Id
    quantity: int
    current_quantity: int | None = None
    variant_id: Id | None = None
    sku: str | None = None


class HookRefundLine(Struct):
    line_item_id: Id
    quantity: int
    restock_type: str | None = None


class HookOrderRefund(Struct):
    created_at: str | None = None
    refund_line_items: list[HookRefundLine] = []


class HookOrder(Struct):
    id: Id
    created_at: str
    updated_at: str
    line_items: list[HookLine]
    name: str | None = None
    cancelled_at: str | None = None
    financial_status: str | None = None
    refunds: list[HookOrderRefund] = []

"""The GraphQL documents sent to Shopify, each by the name of its operation.

Every document validates against the Admin schemas 2026-04, 2026-07 and 2026-10; costs are upper
bounds by the linear rule (an object 1, a connection 2 plus its rows), checked against recordings.
"""

from __future__ import annotations

SET_QUANTITIES = """\
mutation SetQuantities($input: InventorySetQuantitiesInput!, $key: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $key) {
    inventoryAdjustmentGroup { id createdAt }
    userErrors { code field message }
  }
}"""

ADJUST_QUANTITIES = """\
mutation AdjustQuantities($input: InventoryAdjustQuantitiesInput!, $key: String!) {
  inventoryAdjustQuantities(input: $input) @idempotent(key: $key) {
    inventoryAdjustmentGroup { id createdAt }
    userErrors { code field message }
  }
}"""

READ_LEVELS = """\
query ReadLevels($ids: [ID!]!, $location: ID!) {
  nodes(ids: $ids) {
    ... on InventoryItem {
      id tracked
      inventoryLevel(locationId: $location, includeInactive: true) {
        isActive quantities(names: ["available"]) { name quantity updatedAt }
      }
    }
  }
}"""

WHO_AM_I = """\
query WhoAmI {
  shop { id name myshopifyDomain }
  currentAppInstallation { id accessScopes { handle } }
}"""

LOCATIONS = """\
query Locations($after: String) {
  locations(first: 50, after: $after, includeInactive: true, includeLegacy: true) {
    nodes { id name isActive }
    pageInfo { hasNextPage endCursor }
  }
}"""

CATALOGUE_SIZE = """\
query CatalogueSize {
  productVariantsCount { count precision }
  locationsCount { count precision }
}"""

_LEVEL = 'location { id } quantities(names: ["available"]) { name quantity updatedAt }'
_VARIANT = "id barcode title requiresComponents product { id handle title tags }"

CATALOGUE_PAGE = f"""\
query CataloguePage($first: Int!, $levels: Int!, $after: String) {{
  inventoryItems(first: $first, after: $after) {{
    nodes {{
      id sku tracked
      variants(first: 1) {{ nodes {{ {_VARIANT} }} }}
      inventoryLevels(first: $levels) {{
        nodes {{ {_LEVEL} }}
        pageInfo {{ hasNextPage endCursor }}
      }}
    }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}"""

MORE_LEVELS = f"""\
query MoreLevels($item: ID!, $after: String) {{
  inventoryItem(id: $item) {{
    inventoryLevels(first: 200, after: $after) {{
      nodes {{ {_LEVEL} }}
      pageInfo {{ hasNextPage endCursor }}
    }}
  }}
}}"""

BULK_CATALOGUE = f"""\
{{
  inventoryItems {{
    edges {{ node {{
      id sku tracked
      variants {{ edges {{ node {{ {_VARIANT} }} }} }}
      inventoryLevels {{ edges {{ node {{ id {_LEVEL} }} }} }}
    }} }}
  }}
}}"""

BULK_RUN = """\
mutation BulkRun($query: String!) {
  bulkOperationRunQuery(query: $query, groupObjects: true) {
    bulkOperation { id status }
    userErrors { code field message }
  }
}"""

BULK_STATUS = """\
query BulkStatus($id: ID!) {
  bulkOperation(id: $id) { id status errorCode objectCount url }
}"""

_ORDER = "id name createdAt updatedAt cancelledAt displayFinancialStatus"
_LINES = (
    "nodes { id sku quantity currentQuantity variant { id } } pageInfo { hasNextPage endCursor }"
)

ORDERS_PAGE = f"""\
query OrdersPage($query: String!, $after: String) {{
  orders(first: 10, after: $after, query: $query, sortKey: UPDATED_AT) {{
    nodes {{
      {_ORDER}
      lineItems(first: 10) {{ {_LINES} }}
      refunds(first: 1) {{ id createdAt }}
    }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}"""

ONE_ORDER = f"""\
query OneOrder($id: ID!, $after: String) {{
  order(id: $id) {{
    {_ORDER}
    lineItems(first: 100, after: $after) {{ {_LINES} }}
    refunds(first: 250) {{ id createdAt }}
  }}
}}"""

REFUND_LINES = """\
query RefundLines($id: ID!, $after: String) {
  refund(id: $id) {
    refundLineItems(first: 100, after: $after) {
      nodes { quantity restockType lineItem { id } }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""

REFUND_PLACES = """\
query RefundPlaces($id: ID!, $after: String) {
  refund(id: $id) {
    refundLineItems(first: 100, after: $after) {
      nodes { quantity restockType lineItem { id } location { id } }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""

_PLACED = "nodes { totalQuantity lineItem { id } } pageInfo { hasNextPage endCursor }"

FULFILMENTS = f"""\
query Fulfilments($id: ID!, $after: String) {{
  order(id: $id) {{
    fulfillmentOrders(first: 5, after: $after) {{
      nodes {{
        id createdAt assignedLocation {{ location {{ id }} }}
        lineItems(first: 50) {{ {_PLACED} }}
      }}
      pageInfo {{ hasNextPage endCursor }}
    }}
  }}
}}"""

ORDER_OF_FULFILMENT = """\
query OrderOfFulfilment($id: ID!) {
  nodes(ids: [$id]) { ... on FulfillmentOrder { orderId } }
}"""

MORE_FULFILMENT_LINES = f"""\
query MoreFulfilmentLines($id: ID!, $after: String) {{
  nodes(ids: [$id]) {{
    ... on FulfillmentOrder {{ lineItems(first: 100, after: $after) {{ {_PLACED} }} }}
  }}
}}"""

_SUBSCRIPTION = "id topic uri format includeFields filter"

WEBHOOK_LIST = f"""\
query WebhookList($after: String) {{
  webhookSubscriptions(first: 100, after: $after) {{
    nodes {{ {_SUBSCRIPTION} }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}"""

WEBHOOK_CREATE = """\
mutation WebhookCreate($topic: WebhookSubscriptionTopic!, $sub: WebhookSubscriptionInput!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: $sub) {
    webhookSubscription { id }
    userErrors { field message }
  }
}"""

WEBHOOK_UPDATE = """\
mutation WebhookUpdate($id: ID!, $sub: WebhookSubscriptionInput!) {
  webhookSubscriptionUpdate(id: $id, webhookSubscription: $sub) {
    webhookSubscription { id }
    userErrors { field message }
  }
}"""

DOCUMENTS = {
    "SetQuantities": SET_QUANTITIES,
    "AdjustQuantities": ADJUST_QUANTITIES,
    "ReadLevels": READ_LEVELS,
    "WhoAmI": WHO_AM_I,
    "Locations": LOCATIONS,
    "CatalogueSize": CATALOGUE_SIZE,
    "CataloguePage": CATALOGUE_PAGE,
    "MoreLevels": MORE_LEVELS,
    "BulkRun": BULK_RUN,
    "BulkStatus": BULK_STATUS,
    "OrdersPage": ORDERS_PAGE,
    "OneOrder": ONE_ORDER,
    "RefundLines": REFUND_LINES,
    "RefundPlaces": REFUND_PLACES,
    "Fulfilments": FULFILMENTS,
    "MoreFulfilmentLines": MORE_FULFILMENT_LINES,
    "OrderOfFulfilment": ORDER_OF_FULFILMENT,
    "WebhookList": WEBHOOK_LIST,
    "WebhookCreate": WEBHOOK_CREATE,
    "WebhookUpdate": WEBHOOK_UPDATE,
}
"""Every document by its operation's name."""

"""A small schema of its own, for machines without the vendor's: just what our documents ask for."""

from __future__ import annotations

SDL = """
directive @idempotent(key: String!) on FIELD
scalar DateTime
scalar URL
scalar UnsignedInt64
interface Node { id: ID! }
schema { query: QueryRoot mutation: Mutation }
type QueryRoot {
  shop: Shop!
  currentAppInstallation: AppInstallation!
  nodes(ids: [ID!]!): [Node]!
  locations(first: Int, after: String, includeInactive: Boolean = false,
    includeLegacy: Boolean = false): LocationConnection!
  locationsCount(limit: Int = 10000): Count
  productVariantsCount(limit: Int = 10000): Count
  inventoryItem(id: ID!): InventoryItem
  inventoryItems(first: Int, after: String): InventoryItemConnection!
  bulkOperation(id: ID!): BulkOperation
  order(id: ID!): Order
  orders(first: Int, after: String, query: String,
    sortKey: OrderSortKeys = PROCESSED_AT): OrderConnection!
  refund(id: ID!): Refund
  webhookSubscriptions(first: Int, after: String): WebhookSubscriptionConnection!
}
type Mutation {
  inventorySetQuantities(input: InventorySetQuantitiesInput!): InventorySetQuantitiesPayload
  inventoryAdjustQuantities(input: InventoryAdjustQuantitiesInput!): InventoryAdjustQuantitiesPayload
  bulkOperationRunQuery(query: String!, groupObjects: Boolean! = false): BulkOperationRunQueryPayload
  webhookSubscriptionCreate(topic: WebhookSubscriptionTopic!,
    webhookSubscription: WebhookSubscriptionInput!): WebhookSubscriptionCreatePayload
  webhookSubscriptionUpdate(id: ID!,
    webhookSubscription: WebhookSubscriptionInput!): WebhookSubscriptionUpdatePayload
}
type PageInfo { hasNextPage: Boolean! endCursor: String }
type Count { count: Int! precision: CountPrecision! }
enum CountPrecision { EXACT AT_LEAST }
enum OrderSortKeys { PROCESSED_AT UPDATED_AT CREATED_AT ID }
type Shop { id: ID! name: String! myshopifyDomain: String! }
type AppInstallation { id: ID! accessScopes: [AccessScope!]! }
type AccessScope { handle: String! }
type Location implements Node { id: ID! name: String! isActive: Boolean! }
type LocationConnection { nodes: [Location!]! pageInfo: PageInfo! }
type Product implements Node { id: ID! handle: String! title: String! }
type ProductVariant implements Node {
  id: ID! barcode: String title: String! product: Product! requiresComponents: Boolean!
}
type ProductVariantEdge { node: ProductVariant! }
type ProductVariantConnection { nodes: [ProductVariant!]! edges: [ProductVariantEdge!]! }
type InventoryItem implements Node {
  id: ID! sku: String tracked: Boolean!
  variants(first: Int): ProductVariantConnection
  inventoryLevel(locationId: ID!, includeInactive: Boolean = false): InventoryLevel
  inventoryLevels(first: Int, after: String,
    includeInactive: Boolean = false): InventoryLevelConnection!
}
type InventoryItemEdge { node: InventoryItem! }
type InventoryItemConnection {
  nodes: [InventoryItem!]! edges: [InventoryItemEdge!]! pageInfo: PageInfo!
}
type InventoryLevel implements Node {
  id: ID! isActive: Boolean! location: Location! updatedAt: DateTime!
  quantities(names: [String!]!): [InventoryQuantity!]!
}
type InventoryLevelEdge { node: InventoryLevel! }
type InventoryLevelConnection {
  nodes: [InventoryLevel!]! edges: [InventoryLevelEdge!]! pageInfo: PageInfo!
}
type InventoryQuantity { name: String! quantity: Int! updatedAt: DateTime }
type InventoryAdjustmentGroup {
  id: ID! createdAt: DateTime! reason: String! referenceDocumentUri: String
  changes: [InventoryChange!]!
}
type InventoryChange {
  name: String! delta: Int! quantityAfterChange: Int item: InventoryItem location: Location
}
input InventorySetQuantitiesInput {
  name: String! reason: String! referenceDocumentUri: String quantities: [InventoryQuantityInput!]!
}
input InventoryQuantityInput {
  inventoryItemId: ID! locationId: ID! quantity: Int! changeFromQuantity: Int
}
input InventoryAdjustQuantitiesInput {
  name: String! reason: String! referenceDocumentUri: String changes: [InventoryChangeInput!]!
}
input InventoryChangeInput {
  inventoryItemId: ID! locationId: ID! delta: Int! changeFromQuantity: Int ledgerDocumentUri: String
}
type QuantityUserError { code: String field: [String!] message: String! }
type InventorySetQuantitiesPayload {
  inventoryAdjustmentGroup: InventoryAdjustmentGroup userErrors: [QuantityUserError!]!
}
type InventoryAdjustQuantitiesPayload {
  inventoryAdjustmentGroup: InventoryAdjustmentGroup userErrors: [QuantityUserError!]!
}
type BulkOperation implements Node {
  id: ID! status: String! errorCode: String objectCount: UnsignedInt64! url: URL
}
type BulkOperationRunQueryPayload {
  bulkOperation: BulkOperation userErrors: [QuantityUserError!]!
}
type Order implements Node {
  id: ID! name: String! createdAt: DateTime! updatedAt: DateTime! cancelledAt: DateTime
  displayFinancialStatus: String
  lineItems(first: Int, after: String): LineItemConnection!
  refunds(first: Int): [Refund!]!
  fulfillmentOrders(first: Int, after: String): FulfillmentOrderConnection!
}
type FulfillmentOrder implements Node {
  id: ID! orderId: ID! createdAt: DateTime! assignedLocation: FulfillmentOrderAssignedLocation!
  lineItems(first: Int, after: String): FulfillmentOrderLineItemConnection!
}
type FulfillmentOrderConnection { nodes: [FulfillmentOrder!]! pageInfo: PageInfo! }
type FulfillmentOrderAssignedLocation { name: String! location: Location }
type FulfillmentOrderLineItem implements Node { id: ID! totalQuantity: Int! lineItem: LineItem! }
type FulfillmentOrderLineItemConnection {
  nodes: [FulfillmentOrderLineItem!]! pageInfo: PageInfo!
}
type OrderConnection { nodes: [Order!]! pageInfo: PageInfo! }
type LineItem implements Node {
  id: ID! sku: String quantity: Int! currentQuantity: Int! variant: ProductVariant
}
type LineItemConnection { nodes: [LineItem!]! pageInfo: PageInfo! }
type Refund implements Node {
  id: ID! createdAt: DateTime
  refundLineItems(first: Int, after: String): RefundLineItemConnection!
}
type RefundLineItem {
  quantity: Int! restockType: String! lineItem: LineItem! location: Location
}
type RefundLineItemConnection { nodes: [RefundLineItem!]! pageInfo: PageInfo! }
enum WebhookSubscriptionTopic {
  INVENTORY_LEVELS_UPDATE INVENTORY_LEVELS_CONNECT INVENTORY_LEVELS_DISCONNECT
  INVENTORY_ITEMS_CREATE INVENTORY_ITEMS_UPDATE INVENTORY_ITEMS_DELETE
  FULFILLMENT_ORDERS_MOVED FULFILLMENT_ORDERS_ORDER_ROUTING_COMPLETE FULFILLMENT_ORDERS_CANCELLED
  FULFILLMENT_ORDERS_SPLIT FULFILLMENT_ORDERS_MERGED
  ORDERS_CREATE ORDERS_UPDATED ORDERS_CANCELLED ORDERS_EDITED ORDERS_PAID ORDERS_DELETE
  REFUNDS_CREATE APP_UNINSTALLED
}
enum WebhookSubscriptionFormat { JSON XML }
input WebhookSubscriptionInput {
  uri: String format: WebhookSubscriptionFormat includeFields: [String!] filter: String
}
type WebhookSubscription implements Node {
  id: ID! topic: WebhookSubscriptionTopic! uri: String! format: WebhookSubscriptionFormat!
  includeFields: [String!]! filter: String
}
type WebhookSubscriptionConnection { nodes: [WebhookSubscription!]! pageInfo: PageInfo! }
type UserError { field: [String!] message: String! }
type WebhookSubscriptionCreatePayload {
  webhookSubscription: WebhookSubscription userErrors: [UserError!]!
}
type WebhookSubscriptionUpdatePayload {
  webhookSubscription: WebhookSubscription userErrors: [UserError!]!
}
"""

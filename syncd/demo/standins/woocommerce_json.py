"""The objects of the WooCommerce stand-in as the shop's REST API writes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from syncd.demo.standins.woocommerce_hooks import Registration
from syncd.demo.standins.woocommerce_shop import Line, Order, Product, Refund, Shop

Json = dict[str, Any]


def stamp(at: datetime | None) -> str | None:
    """UTC, to the second, and it does not say so."""
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%S")


def _links(home: str, path: str, up: str = "") -> Json:
    base = f"{home}/wp-json/wc/v3"
    links: Json = {
        "self": [{"href": base + path}],
        "collection": [{"href": base + path.rpartition("/")[0]}],
    }
    if up:
        links["up"] = [{"href": base + up}]
    return links


def _stock(shop: Shop, product: Product) -> Json:
    shelf = shop.shelf_of(product)
    quantity = None if shelf is None else shelf.stock
    out = quantity is not None and quantity <= 0
    return {
        "manage_stock": product.managed,
        "stock_quantity": quantity,
        "stock_status": "outofstock" if out else "instock",
        "backorders": "no",
        "backorders_allowed": False,
        "backordered": False,
        "low_stock_amount": None,
    }


def _common(shop: Shop, product: Product, home: str) -> Json:
    return {
        "id": product.id,
        "date_created": stamp(product.created),
        "date_created_gmt": stamp(product.created),
        "date_modified": stamp(product.modified),
        "date_modified_gmt": stamp(product.modified),
        "type": product.kind,
        "status": product.status,
        "name": product.name,
        "description": "",
        "permalink": f"{home}/product/{product.id}/",
        "sku": product.sku,
        "global_unique_id": "",
        "price": "10",
        "regular_price": "10",
        "sale_price": "",
        "date_on_sale_from": None,
        "date_on_sale_from_gmt": None,
        "date_on_sale_to": None,
        "date_on_sale_to_gmt": None,
        "on_sale": False,
        "purchasable": True,
        "virtual": False,
        "downloadable": False,
        "downloads": [],
        "download_limit": -1,
        "download_expiry": -1,
        "tax_status": "taxable",
        "tax_class": "",
        **_stock(shop, product),
        "weight": "",
        "dimensions": {"length": "", "width": "", "height": ""},
        "shipping_class": "",
        "shipping_class_id": 0,
        "attributes": [],
        "menu_order": 0,
        "meta_data": [],
        "parent_id": product.parent_id,
    }


def variation_json(shop: Shop, product: Product, home: str) -> Json:
    """As the variation routes write it."""
    parent = product.parent_id
    return {
        **_common(shop, product, home),
        "image": None,
        "_links": _links(
            home, f"/products/{parent}/variations/{product.id}", up=f"/products/{parent}"
        ),
    }


def product_json(shop: Shop, product: Product, home: str) -> Json:
    """As the product routes and the webhooks write it; a variation too."""
    slug = product.sku.lower()
    return {
        **_common(shop, product, home),
        "slug": slug,
        "featured": False,
        "catalog_visibility": "visible",
        "short_description": "",
        "total_sales": 0,
        "external_url": "",
        "button_text": "",
        "sold_individually": False,
        "shipping_required": True,
        "shipping_taxable": True,
        "reviews_allowed": True,
        "average_rating": "0",
        "rating_count": 0,
        "upsell_ids": [],
        "cross_sell_ids": [],
        "purchase_note": "",
        "categories": [{"id": 15, "name": "Uncategorized", "slug": "uncategorized"}],
        "brands": [],
        "tags": [],
        "images": [],
        "default_attributes": [],
        "variations": list(product.children),
        "grouped_products": [],
        "price_html": "",
        "related_ids": [],
        "has_options": bool(product.children),
        "post_password": "",
        "permalink_template": f"{home}/product/%pagename%/",
        "generated_slug": slug,
        "_links": _links(home, f"/products/{product.id}"),
    }


def _line_json(shop: Shop, line: Line, *, sign: int = 1, meta: list[Json]) -> Json:
    product = shop.products.get(line.variation_id or line.product_id)
    money = f"{10 * line.quantity * sign:.2f}"
    return {
        "id": line.id,
        "name": product.name if product else "",
        "product_id": line.product_id,
        "variation_id": line.variation_id,
        "quantity": line.quantity * sign,
        "tax_class": "",
        "subtotal": money,
        "subtotal_tax": "0.00",
        "total": money,
        "total_tax": "0.00",
        "taxes": [],
        "meta_data": meta,
        "sku": product.sku if product else None,
        "global_unique_id": "",
        "price": 10,
        "image": {"id": 0, "src": ""},
        "parent_name": None,
    }


def _meta(number: int, key: str, value: int) -> Json:
    text = str(value)
    return {
        "id": number, "key": key, "value": text, "display_key": key, "display_value": text,
    }  # fmt: skip


def _person(*, billing: bool) -> Json:
    names = "first_name last_name company address_1 address_2 city state postcode country phone"
    person: Json = dict.fromkeys(names.split(), "")
    if billing:
        person["email"] = "shopper@example.test"
    return person


_ORDER: Json = {
    "parent_id": 0,
    "currency": "GBP",
    "version": "10.7.0",
    "prices_include_tax": False,
    "discount_total": "0.00",
    "discount_tax": "0.00",
    "shipping_total": "0.00",
    "shipping_tax": "0.00",
    "cart_tax": "0.00",
    "total_tax": "0.00",
    "customer_id": 0,
    "payment_method": "bacs",
    "payment_method_title": "",
    "transaction_id": "",
    "customer_ip_address": "",
    "customer_user_agent": "",
    "created_via": "checkout",
    "customer_note": "",
    "date_completed": None,
    "date_completed_gmt": None,
    "cart_hash": "",
    "meta_data": [],
    "tax_lines": [],
    "shipping_lines": [],
    "fee_lines": [],
    "coupon_lines": [],
    "needs_processing": True,
    "currency_symbol": "£",
}
"""What is alike in every order here."""


def order_json(shop: Shop, order: Order, home: str) -> Json:
    """`_reduced_stock` is on a line only while it holds units."""
    mails = f"{home}/wp-json/wc/v3/orders/{order.id}/actions/email_templates"
    lines = []
    for line in order.lines:
        meta = [_meta(line.id * 10, "_reduced_stock", line.reduced)] if line.reduced else []
        lines.append(_line_json(shop, line, meta=meta))
    return {
        **_ORDER,
        "id": order.id,
        "parent_id": order.parent,
        "created_via": order.via,
        "status": order.status,
        "date_created": stamp(order.created),
        "date_created_gmt": stamp(order.created),
        "date_modified": stamp(order.modified),
        "date_modified_gmt": stamp(order.modified),
        "date_paid": stamp(order.paid),
        "date_paid_gmt": stamp(order.paid),
        "total": f"{sum(10 * line.quantity for line in order.lines):.2f}",
        "order_key": f"wc_order_{order.id}",
        "billing": _person(billing=True),
        "shipping": _person(billing=False),
        "number": str(order.id),
        "line_items": lines,
        "refunds": [{"id": r.id, "reason": "", "total": f"-{r.amount:.2f}"} for r in order.refunds],
        "payment_url": f"{home}/checkout/order-pay/{order.id}/",
        "is_editable": order.status in ("pending", "on-hold"),
        "needs_payment": order.status in ("pending", "failed"),
        "_links": {
            **_links(home, f"/orders/{order.id}"),
            "email_templates": [{"embeddable": True, "href": mails}],
        },
    }


def refund_json(shop: Shop, order: Order, refund: Refund, home: str) -> Json:
    """Lines carry negative quantities and name the line they take back."""
    lines = []
    for line in order.lines:
        units = refund.units.get(line.id, 0)
        if units:
            piece = Line(refund.id * 100 + line.id, line.product_id, line.variation_id, units)
            meta = [_meta(refund.id * 10, "_refunded_item_id", line.id)]
            lines.append(_line_json(shop, piece, sign=-1, meta=meta))
    path = f"/orders/{order.id}/refunds/{refund.id}"
    return {
        "id": refund.id,
        "date_created": stamp(refund.created),
        "date_created_gmt": stamp(refund.created),
        "amount": f"{refund.amount:.2f}",
        "reason": "",
        "refunded_by": 1,
        "refunded_payment": False,
        "meta_data": [{"id": refund.id, "key": "_refund_type", "value": "partial"}],
        "line_items": lines,
        "shipping_lines": [],
        "tax_lines": [],
        "fee_lines": [],
        "_links": _links(home, path, up=f"/orders/{order.id}"),
    }


def hook_json(hook: Registration, home: str) -> Json:
    """Neither the secret nor the count of failures is shown."""
    resource, _, event = hook.topic.partition(".")
    return {
        "id": hook.id,
        "name": hook.name,
        "status": hook.status,
        "topic": hook.topic,
        "resource": resource,
        "event": event,
        "hooks": [f"woocommerce_{event}_{resource}"],
        "delivery_url": hook.delivery_url,
        "date_created": stamp(hook.created),
        "date_created_gmt": stamp(hook.created),
        "date_modified": stamp(hook.modified),
        "date_modified_gmt": stamp(hook.modified),
        "_links": _links(home, f"/webhooks/{hook.id}"),
    }

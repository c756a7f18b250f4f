"""Prices: knows of orders, which know of prices."""

import circle_shop.orders

asked = []


class Price(int):
    """What an order costs."""


def price_of(message_id):
    asked.append(circle_shop.orders.Order(message_id))
    return Price(len(message_id))

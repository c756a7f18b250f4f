"""A package whose modules import each other in a circle."""

from circle_shop import orders

served = 0


def make(client, redis_client, send):
    return orders.Shop(send)

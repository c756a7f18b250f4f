"""Each message is an order; what it answers says how many orders this package has seen, and that all ways to it agree."""

from __future__ import annotations

import dataclasses
import importlib
import pickle
import sys
import typing

import circle_shop
import circle_shop.prices


@dataclasses.dataclass
class Order:
    message_id: str
    price: circle_shop.prices.Price | None = None


class Shop:
    def __init__(self, send):
        self.send = send

    async def handle(self, message):
        from circle_shop import late  # the first order loads it
        from circle_shop.prices import price_of

        circle_shop.served += 1
        order = pickle.loads(pickle.dumps(Order(message.id, price_of(message.id))))
        assert isinstance(order, Order)
        assert type(order.price) is typing.get_type_hints(Order)["price"].__args__[0]
        assert importlib.import_module("circle_shop.late") is late is sys.modules["circle_shop"].late
        late.seen.append(order)
        await self.send(message.conversation, f"{circle_shop.served} {len(late.seen)} {len(circle_shop.prices.asked)}")

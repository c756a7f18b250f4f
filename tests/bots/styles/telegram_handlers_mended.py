"""The same with a handler that blocks: the library takes one update after the other."""

from telegram.ext import MessageHandler, filters
from telegram_handlers import app, bot, on_text

__all__ = ["app"]

bot.handlers.clear()
bot.add_handler(MessageHandler(filters.TEXT, on_text))

"""The admin keeps documents."""

from django.contrib import admin

from shelf.models import Document

admin.site.register(Document)

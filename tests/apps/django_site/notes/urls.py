"""Pages of the site: a form with a CSRF token, the notes of the session, an error."""

from django.http import HttpResponse, HttpResponseRedirect
from django.template import engines
from django.urls import path

PAGE = """<!doctype html><title>Notes</title>
<form method="post">{% csrf_token %}<input name="note"></form>
<ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>"""


def notes(request):
    if request.method == "POST":
        request.session["notes"] = [*request.session.get("notes", []), request.POST["note"]]
        return HttpResponseRedirect("/")
    template = engines["django"].from_string(PAGE)
    return HttpResponse(template.render({"notes": request.session.get("notes", [])}, request))


def fail(request):
    raise RuntimeError("the notes fail on purpose")


urlpatterns = [path("", notes), path("fail", fail)]

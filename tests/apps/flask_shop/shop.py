"""A small Flask shop: a page from a template, a form, a session, static files, an error."""

from flask import Flask, redirect, render_template_string, request, session

app = Flask(__name__)
app.secret_key = "for a test"

PAGE = """<!doctype html><title>Shop</title>
<link rel="stylesheet" href="{{ url_for('static', filename='shop.css') }}">
<p>Basket: {{ basket|join(', ') }}</p>"""


@app.get("/")
def show():
    return render_template_string(PAGE, basket=session.get("basket", []))


@app.post("/basket")
def add():
    session["basket"] = [*session.get("basket", []), request.form["item"]]
    return redirect("/")


@app.post("/upload")
def upload():
    file = request.files["file"]
    return {"name": file.filename, "size": len(file.read())}


@app.get("/fail")
def fail():
    raise RuntimeError("the shop fails on purpose")

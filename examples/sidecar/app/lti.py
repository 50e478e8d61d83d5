"""LTI 1.3 launches from Canvas: the login redirect and the launch itself."""

from __future__ import annotations

import hmac
import json
import logging
import secrets
from urllib.parse import parse_qs, urlencode

import jwt
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from .fetch import HTTPError, get
from .sessions import COOKIE
from .settings import Canvas

router = APIRouter(prefix="/lti", include_in_schema=False)
log = logging.getLogger("app.lti")

STATE_COOKIE = "qa_launch"
STATE_SECONDS = 300
CLAIM = "https://purl.imsglobal.org/spec/lti/claim/"
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<h1>{title}</h1><p>{text}</p></html>"""


class Refused(Exception):
    """Why a launch is not accepted: for our log, never for the browser."""


@router.api_route("/login", methods=["GET", "POST"])
async def login(request: Request) -> Response:
    """Sends the browser to Canvas, which sends it back to /lti/launch."""
    if page := maintenance(request):
        return page
    fields = await _fields(request)
    canvas = next(
        (c for c in request.app.state.settings.canvas.values()
         if c.client_id and c.issuer == fields.get("iss") and fields.get("client_id", c.client_id) == c.client_id),
        None,
    )
    if canvas is None or "login_hint" not in fields:
        return _refuse(request, "unknown platform or no login_hint")
    state, nonce = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    store = request.app.state.store
    await store.do(store.redis.set(f"launch:{state}", json.dumps([canvas.name, nonce]), ex=STATE_SECONDS))
    query = {
        "scope": "openid", "response_type": "id_token", "response_mode": "form_post", "prompt": "none",
        "client_id": canvas.client_id, "redirect_uri": str(request.url_for("launch")),
        "login_hint": fields["login_hint"], "state": state, "nonce": nonce,
    }
    if hint := fields.get("lti_message_hint"):
        query["lti_message_hint"] = hint
    answer = RedirectResponse(f"{canvas.platform_url}/api/lti/authorize_redirect?{urlencode(query)}", 302)
    answer.set_cookie(STATE_COOKIE, state, STATE_SECONDS, httponly=True, secure=True, samesite="none")
    return answer


@router.post("/launch")
async def launch(request: Request) -> Response:
    """Starts a session for the user of a valid launch."""
    if page := maintenance(request):
        return page
    fields, store = await _fields(request), request.app.state.store
    state = fields.get("state", "")
    if not hmac.compare_digest(state.encode(), request.cookies.get(STATE_COOKIE, "").encode()):
        return _refuse(request, "the state is not that of this browser")
    kept = await store.do(store.redis.getdel(f"launch:{state}"))  # so a state and its nonce serve once
    if kept is None:
        return _refuse(request, "the state is unknown, used or expired")
    name, nonce = json.loads(kept)
    try:
        claims = await _verified(request.app.state.settings.canvas[name], fields.get("id_token", ""), nonce)
    except (Refused, HTTPError, jwt.PyJWTError) as why:
        request.app.state.ops.explain(name, fields.get("id_token", ""))
        return _refuse(request, type(why).__name__ if isinstance(why, jwt.PyJWTError) else str(why))
    cookie = await request.app.state.sessions.create(f"{name}:{claims['sub']}")
    answer = HTMLResponse(PAGE.format(title="Canvas QA Automation", text="You are signed in."))
    answer.delete_cookie(STATE_COOKIE, secure=True, samesite="none")
    answer.set_cookie(COOKIE, cookie, httponly=True, secure=True, samesite="none")
    return answer


async def _verified(canvas: Canvas, token: str, nonce: str) -> dict[str, object]:
    response = await get(f"{canvas.platform_url}/api/lti/security/jwks", {}, 5)
    kid = jwt.get_unverified_header(token).get("kid")
    try:
        keys = jwt.PyJWKSet.from_dict(json.loads(response.body)).keys
    except ValueError:
        raise Refused("the platform's keys cannot be read") from None
    key = next((k.key for k in keys if k.key_id == kid and k.key_type == "RSA"), None)
    if key is None:
        raise Refused("signed by a key that the platform does not publish")
    claims = jwt.decode(
        token, key, algorithms=["RS256"], issuer=canvas.issuer, audience=canvas.client_id, leeway=5,
        options={"require": ["exp", "iat", "iss", "aud", "sub", "nonce"]},
    )
    if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != canvas.client_id:
        raise Refused("made for another tool")
    if not hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
        raise Refused("the nonce is not that of this login")
    if claims.get(CLAIM + "version") != "1.3.0" or claims.get(CLAIM + "message_type") != "LtiResourceLinkRequest":
        raise Refused("not a resource link launch of LTI 1.3")
    return claims


def maintenance(request: Request) -> Response | None:
    if not request.app.state.settings.canvas_maintenance_mode:
        return None
    text = "Canvas is being maintained. Your work is safe; please come back a little later."
    return HTMLResponse(PAGE.format(title="We will be right back", text=text), 503, {"Retry-After": "300"})


def _refuse(request: Request, why: str) -> Response:
    request.app.state.metrics.count("failed_launches")
    log.warning("launch failed: %s", why)
    text = "This launch could not be verified. Please open the tool from Canvas again."
    return HTMLResponse(PAGE.format(title="Not signed in", text=text), 401)


async def _fields(request: Request) -> dict[str, str]:
    raw = await request.body() if request.method == "POST" else request.url.query.encode()
    try:
        fields = parse_qs(raw.decode("latin-1"), max_num_fields=50)
    except ValueError:  # no launch has so many, and none is verified without its fields
        return {}
    return {name: values[0] for name, values in fields.items()}

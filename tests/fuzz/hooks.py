"""What Schemathesis has to know of this API: who signs in, and which refusals are about the form of data."""

import os
import re

import requests
import schemathesis
from schemathesis import Case, CheckContext, Response
from schemathesis.generation.meta import TestPhase

SESSION = os.environ.get("FUZZ_SESSION", "")
EMAIL = os.environ.get("FUZZ_EMAIL", "")
API = os.environ.get("FUZZ_API", "")

# Complaints about the form of a field, which its schema describes (resource/value.rs).
FORM = re.compile(
    r"is required$|is not a known field|is written by the server|cannot be changed"
    r"|must not (be null|be empty|contain)"
    r"|must (be a text|be true or false|be an instant|be a day|be a time|be an id|be an object|be an array|be one of)"
    r"|must be (a whole number|a decimal|an e-mail|lower-case|a colour|from)|must match"
    r"|must have (at (most|least) \d+ characters|\d+ to \d+ items|at least one letter)"
)


@schemathesis.hook
def before_load_schema(context, raw_schema):
    # The session comes with every request: a wrong one is 404 or 410 by contract, which no check knows.
    schemes = raw_schema.get("components", {}).get("securitySchemes", {})
    if schemes.pop("session", None) is None:
        return
    for item in raw_schema["paths"].values():
        for operation in item.values():
            for way in operation.get("security", []):
                way.pop("session", None)


@schemathesis.hook
def before_call(context, case: Case, kwargs):
    if SESSION:
        case.headers = case.headers or {}
        case.headers["X-Preview-Session"] = SESSION


if EMAIL:

    # Some operations end the sign-in that calls them: each signs in for itself.
    @schemathesis.auth(cache_by_key=lambda case, context: case.operation.label, refresh_interval=None)
    class SignIn:
        def get(self, case, context):
            body = {"email": EMAIL, "password": "Preview123!"}
            headers = {"X-Preview-Session": SESSION}
            answer = requests.post(f"{API}/api/v1/auth/login", json=body, headers=headers, timeout=30)
            return answer.json()["data"]["accessToken"]

        def set(self, case, data, context):
            case.headers = case.headers or {}
            case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.check
def well_formed_data_pass(ctx: CheckContext, response: Response, case: Case):
    """Data that fit their schema are never refused for their form."""
    if response.status_code != 422 or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    # Not all of its values fit: one for a pattern beside minLength has a length of its own.
    if case.meta.phase.name is TestPhase.COVERAGE:
        return
    details = response.json()["error"].get("details", [])
    about = [detail for detail in details if FORM.search(detail["message"])]
    assert not about, f"well formed, but refused for {about}"

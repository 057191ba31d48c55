"""The map of the portal: every page's address, who may come, and what answers."""

from schoolgate_exceptions.queue import READERS
from schoolgate_exceptions.web import approvals, asks, cases, home, signing, standings
from schoolgate_exceptions.web.routes import Route

_PUBLIC = (
    Route("/", "home", home.front),
    Route("/ask", "ask", asks.guarded, asks.guarded),
    Route("/sent/{reference}", "ask", asks.sent),
    Route("/requests", "standing", standings.find),
    Route("/requests/{reference}", "standing", standings.show, standings.act),
    Route("/report", "report", standings.report, standings.send_report),
    Route("/help", "help", standings.help_page),
    Route("/sign-in", "sign_in", signing.sign_in, signing.signed_in),
    Route("/signed-out", "sign_in", signing.signed_out),
    Route("/set-up/{token}", "set_up", signing.set_up, signing.make_first),
    Route("/invitation/{token}", "set_up", signing.invitation, signing.accept),
    Route("/approve/{token}", "approve", approvals.show, approvals.decide),
)
_ACCOUNT = (
    Route("/sign-in/code", "sign_in", signing.code, signing.check_code, signed_in=True, half=True),
    Route("/sign-out", "sign_in", None, signing.sign_out, signed_in=True, half=True),
    Route("/account", "account", signing.account, signing.change_password, signed_in=True),
    Route("/account/sessions", "account", None, signing.end_sessions, signed_in=True),
    Route(
        "/account/second-factor",
        "account",
        signing.second_factor,
        signing.keep_second_factor,
        signed_in=True,
        half=True,
    ),
)
_OFFICE = (
    Route("/home", "office", home.home, signed_in=True),
    Route("/more", "office", home.more, signed_in=True),
    Route("/queue", "queue", cases.queue, cases.refuse_several, signed_in=True, roles=READERS),
    Route("/queue/{id}", "queue", cases.case, cases.decide, signed_in=True, roles=READERS),
)
ROUTES: tuple[Route, ...] = (*_PUBLIC, *_ACCOUNT, *_OFFICE)

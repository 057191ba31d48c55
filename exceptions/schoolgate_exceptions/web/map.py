"""The map of the portal: every page's address, who may come, and what answers."""

from schoolgate_exceptions.queue import READERS
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.web import (
    api,
    approvals,
    asks,
    cases,
    home,
    lesson_pages,
    looking,
    people_pages,
    policies,
    registers,
    signing,
    standings,
)
from schoolgate_exceptions.web.routes import Route

_LOOKERS = (*people_pages.KEEPERS, Role.GOVERNOR)
_PUBLIC = (
    Route("/", "home", home.front),
    Route("/ask", "ask", asks.guarded, asks.guarded),
    Route("/sent/{reference}", "ask", asks.sent),
    Route("/requests", "standing", standings.find),
    Route("/requests/{reference}", "standing", standings.show, standings.act),
    Route("/report", "report", standings.report, standings.send_report),
    Route("/help", "help", standings.help_page),
    Route("/sign-in", "sign_in", signing.sign_in, signing.signed_in),
    Route("/sign-in/with/{provider}", "sign_in", signing.at_provider),
    Route("/sign-in/back/{provider}", "sign_in", signing.from_provider),
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
    Route("/policy", "policy", policies.show, signed_in=True),
    Route(
        "/policy/edit",
        "policy",
        policies.edit,
        policies.save,
        signed_in=True,
        roles=(Role.OFFICER,),
        most=4 * 1024 * 1024,
    ),
    Route("/policy/history", "policy", policies.history, signed_in=True),
    Route("/policy/history/{version}", "policy", policies.version, policies.restore, signed_in=True),
    Route("/explain", "explain", looking.explain, signed_in=True),
    Route("/services", "services", looking.services, signed_in=True),
    Route("/my-requests", "standing", looking.mine, signed_in=True),
    Route("/official", "ask", registers.official, registers.ask_official, signed_in=True),
    Route("/register", "register", registers.register, registers.enter, signed_in=True),
    Route("/sanctions", "sanctions", registers.sanctions, registers.impose, signed_in=True),
    Route(
        "/states",
        "states",
        registers.states,
        registers.switch,
        signed_in=True,
        roles=(Role.OFFICER, Role.HEAD, Role.DEPUTY),
    ),
    Route("/lessons", "lessons", lesson_pages.lessons, lesson_pages.open_window, signed_in=True),
    Route(
        "/lessons/caps",
        "lessons",
        lesson_pages.caps,
        lesson_pages.set_caps,
        signed_in=True,
        roles=(Role.OFFICER,),
    ),
    Route("/people", "people", people_pages.people, people_pages.add, signed_in=True, roles=_LOOKERS),
    Route(
        "/people/{number}",
        "people",
        people_pages.person,
        people_pages.change,
        signed_in=True,
        roles=_LOOKERS,
    ),
    Route("/audit", "audit", looking.audit, signed_in=True),
    Route("/audit/export", "audit", None, looking.export, signed_in=True),
)
_API = (
    Route("/api/openapi.json", "api", api.describe, json=True),
    Route("/api/requests", "api", api.listed, signed_in=True, json=True),
    Route("/api/requests/{id}", "api", api.one, signed_in=True, json=True),
    Route("/api/requests/{id}/{action}", "api", None, api.act, signed_in=True, json=True),
)
ROUTES: tuple[Route, ...] = (*_PUBLIC, *_ACCOUNT, *_OFFICE, *_API)

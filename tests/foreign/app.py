"""What people put onto FastAPI, each under a policy of its own. It stands in the place of a service's `app.py`."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from secrets import token_urlsafe
from typing import Annotated, Any

import flask
import strawberry
from a2wsgi import WSGIMiddleware
from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, CookieTransport, JWTStrategy
from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from jinja2.ext import Extension
from mcp.server.mcpserver import MCPServer
from sqladmin import Admin, ModelView
from sqladmin.authentication import AuthenticationBackend as AdminLogin
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_admin.auth import AdminUser, AuthProvider
from starlette_admin.contrib.sqla import Admin as OtherAdmin
from starlette_admin.contrib.sqla import ModelView as OtherView
from starlette_admin.exceptions import LoginFailed
from strawberry.fastapi import GraphQLRouter

from .hardening import Hardened, QueryModel, guard, policy, public
from .settings import Settings

HERE = Path(__file__).parent
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
PAGES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
SECRET = token_urlsafe(32)
HANDLERS = (
    "applyColumnVisibility()",
    "window.location = this.value",
)  # attributes of its templates: no nonce is for them


def hashes(scripts: Iterable[str]) -> str:
    """What admits scripts that stand in a page, each just as it is."""
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}'" for each in scripts)


class Base(DeclarativeBase):
    pass


class Article(Base):
    __tablename__ = "articles"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


class User(SQLAlchemyBaseUserTableUUID, Base):
    pass


# --- WSGI -------------------------------------------------------------------------------------------------------------


def old() -> Any:
    application = flask.Flask("old")

    @application.route("/", methods=["GET", "POST"])
    def index() -> str:
        given = flask.request.form.get("word", "")
        names = [each.filename for each in flask.request.files.values()]
        return f"""<!doctype html><title>old</title><link rel="stylesheet" href="/static/style.css">
<form method="post" enctype="multipart/form-data"><input name="word"><input type="file" name="photo"></form>
<p id="given">{given}</p><p>{len(flask.request.get_data())} {names}</p>"""

    # What is typed has no type of its own: it would not be read.
    return WSGIMiddleware(application)


# --- an admin ---------------------------------------------------------------------------------------------------------


class Login(AdminLogin):
    async def login(self, request: Request) -> bool:
        form = await request.form()
        request.session.update(name=str(form["username"]))
        return form["password"] == "right"  # noqa: S105 - of nobody

    async def logout(self, request: Request) -> bool:
        request.session.clear()
        return True

    async def authenticate(self, request: Request) -> bool:
        return "name" in request.session


class Articles(ModelView, model=Article):
    column_list = (Article.id, Article.name)
    form_columns = (Article.name,)


# --- an admin whose pages hold scripts that differ from page to page --------------------------------------------------

NONCE: ContextVar[str] = ContextVar("nonce")


class Nonces(Extension):
    """Scripts that stand in a template get a nonce; one that comes in with what is shown gets none."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return source.replace("<script", '<script nonce="{{nonce()}}"')


class Nonced:
    """Makes the nonce of each page, and admits it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        nonce = token_urlsafe(16)
        scripts = f"script-src 'self' 'nonce-{nonce}' 'unsafe-hashes' {hashes(HANDLERS)};"
        csp = PAGES.replace("script-src 'self';", scripts).replace(
            "style-src 'self'", "style-src 'self' 'unsafe-inline'"
        )

        async def admit(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"content-security-policy", csp.encode()))
            await send(message)

        NONCE.set(nonce)
        await self.app(scope, receive, admit)


class OtherLogin(AuthProvider):
    async def login(self, username: str, password: str, remember_me: bool, request: Request) -> None:
        if password != "right":  # noqa: S105 - of nobody
            raise LoginFailed("Wrong name or password")
        request.session["name"] = username

    async def logout(self, request: Request) -> None:
        request.session.clear()

    async def authenticate(self, request: Request) -> AdminUser | None:
        return AdminUser(request.session["name"]) if "name" in request.session else None


def other_admin(app: Hardened, engine: Any) -> None:
    middlewares = [
        Middleware(Nonced),
        Middleware(SessionMiddleware, secret_key=SECRET, session_cookie="desk", https_only=True),
    ]
    admin = OtherAdmin(
        engine,
        base_url="/desk",
        route_name="desk",
        secret_key=SECRET,
        auth_provider=OtherLogin(),
        middlewares=middlewares,
    )
    admin.add_view(OtherView(Note))
    admin.templates.env.add_extension(Nonces)
    admin.templates.env.globals["nonce"] = NONCE.get
    admin.mount_to(app)
    # Its own scripts send the token of that cookie with what they change.
    spoken = policy(
        content_types=FORMS,
        script_cookies=["starlette_admin_csrftoken"],
        insecure_because={"routes.E005": "tried here"},
    )
    spoken(admin.app)


# --- accounts of a library --------------------------------------------------------------------------------------------


class Users(UUIDIDMixin, BaseUserManager[User, Any]):
    reset_password_token_secret = verification_token_secret = SECRET


def accounts(database: Path) -> APIRouter:
    sessions = async_sessionmaker(create_async_engine(f"sqlite+aiosqlite:///{database}"), expire_on_commit=False)

    async def manager() -> AsyncIterator[Users]:
        async with sessions() as session:
            yield Users(SQLAlchemyUserDatabase(session, User))

    def strategy() -> JWTStrategy[Any, Any]:
        return JWTStrategy(secret=SECRET, lifetime_seconds=600)

    backend = AuthenticationBackend("cookie", CookieTransport(cookie_name="__Host-user"), strategy)
    library = FastAPIUsers[User, Any](manager, [backend])
    current = guard(library.current_user(active=True))
    why = {
        "routes.E002": "fastapi-users has models of its own, which take no unknown field into the database",
        "routes.E003": "fastapi-users answers with models of its own",
        "routes.E006": "fastapi-users bounds nothing; the form is bounded by max_body_size",
    }
    router = APIRouter(prefix="/auth")
    router.include_router(library.get_auth_router(backend))
    router.include_router(library.get_register_router(schemas.BaseUser, schemas.BaseUserCreate))
    policy(public=True, quota="30/15m", insecure_because=why)(router)

    @router.get("/me")
    async def me(user: Annotated[User, Depends(current)]) -> str:
        return user.email

    return router


# --- GraphQL and its page ---------------------------------------------------------------------------------------------


@strawberry.type
class Query:
    @strawberry.field
    def hello(self) -> str:
        return "hello from strawberry"


class Graph(GraphQLRouter):
    """The library's page, with the scripts of this service in the place of a CDN's."""

    @property
    def graphql_ide_html(self) -> str:
        page = re.sub(r"<(?:script|link)\s[^>]*https://unpkg[^>]*>(?:</script>)?", "", str(super().graphql_ide_html))
        return page.replace("</head>", '<script src="/static/graphiql.js"></script></head>')


def graph() -> APIRouter:
    router = Graph(strawberry.Schema(Query))
    inline = re.findall(r"<script>(.*?)</script>", router.graphql_ide_html, re.DOTALL)
    scripts = f"script-src 'self' {hashes(inline)}"
    csp = PAGES.replace("script-src 'self'", scripts).replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
    return policy(public=True, unchecked_query=True, headers={"content-security-policy": csp})(router)


# --- pages of one's own -----------------------------------------------------------------------------------------------


class Greeting(QueryModel):
    name: str


def pages() -> APIRouter:
    router = APIRouter(prefix="/pages")
    templates = Jinja2Templates(HERE / "templates")

    def page(request: Request, template: str, **shown: Any) -> HTMLResponse:  # as HARDENING.md shows it
        nonce = token_urlsafe(16)
        csp = PAGES.replace("'self';", f"'self' 'nonce-{nonce}';", 2)  # of scripts and styles
        headers = {"content-security-policy": csp}
        return templates.TemplateResponse(request, template, {**shown, "nonce": nonce}, headers=headers)

    @router.get("/greeting")
    @public
    def ask(request: Request) -> HTMLResponse:
        return page(request, "page.html", name="")

    @router.post("/greeting")
    @public
    def greet(request: Request, form: Annotated[Greeting, Form()]) -> HTMLResponse:
        return page(request, "page.html", name=form.name)

    return router


def create_app(settings: Settings) -> Hardened:
    database = Path.cwd() / "foreign.sqlite3"
    engine = create_engine(f"sqlite:///{database}")
    Base.metadata.create_all(engine)
    tools = MCPServer("tools")

    @tools.tool()
    def add(a: int, b: int) -> int:
        return a + b

    tool_app = tools.streamable_http_app(streamable_http_path="/", stateless_http=True, json_response=True)

    @asynccontextmanager
    async def lifespan(app: Hardened) -> AsyncIterator[None]:
        async with tools.session_manager.run():
            yield

    app = Hardened(settings, lifespan=lifespan)
    accepted = {"routes.E005": "it is tried here"}
    app.mount(
        "/old",
        policy(
            content_types=FORMS,
            max_body_size=3_000_000,
            request_timeout="20s",
            quota="200/15m",
            headers={"content-security-policy": PAGES},
            insecure_because=accepted,
        )(old()),
    )
    admin = Admin(app, engine, authentication_backend=Login(SECRET))
    admin.add_view(Articles)
    policy(content_types=FORMS, headers={"content-security-policy": PAGES}, insecure_because=accepted)(admin.admin)
    other_admin(app, engine)
    app.include_router(accounts(database))
    app.include_router(graph(), prefix="/graphql")
    app.mount("/mcp", policy(insecure_because=accepted)(tool_app))
    app.include_router(pages())
    cached = {"cache-control": "public, max-age=3600"}
    app.mount("/static", policy(headers=cached)(StaticFiles(directory=HERE / "static")))
    app.mount("/bare", StaticFiles(directory=HERE / "dist", html=True))
    spa = {"content-security-policy": PAGES, "cache-control": "no-cache"}
    app.mount("/spa", policy(headers=spa)(StaticFiles(directory=HERE / "dist", html=True)))
    frontend = APIRouter()
    frontend.frontend("/", directory=HERE / "dist")
    app.include_router(policy(headers=spa)(frontend))
    return app

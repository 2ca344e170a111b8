"""The async ServiceResource and Table, made from boto3's own resource model.

What boto3's factory does for sync resources is done here for async ones. Identifiers, actions, attributes,
collections, waiters and sub-resources all come from the model. So what boto3 adds is there too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import boto3.utils
import botocore.session
from boto3.resources.base import ResourceMeta
from boto3.resources.collection import CollectionManager, ResourceCollection
from boto3.resources.model import ResourceModel
from boto3.resources.params import create_request_parameters
from boto3.resources.response import RawHandler, ResourceHandler
from botocore import xform_name
from botocore.model import ServiceModel

from resilient_ddb.hooks.config import TABLE_OPTIONS, check_options
from resilient_ddb.hooks.host import with_options
from resilient_ddb.hooks.loading import plain_loader
from resilient_ddb.hooks.models import plain_operation, resource_definitions
from resilient_ddb.policy.arguments import NOT_GIVEN, NotGiven, refuse_unknown

from .lazy import LazyClient, opened
from .pending import Pending
from .tables import AsyncResource, AsyncServiceResource, AsyncTable, AwaitableTable

if TYPE_CHECKING:
    from resilient_ddb.policy.policy import Policy
    from resilient_ddb.ttl.rule import TimeToLive

_BASES: dict[str, type[AsyncResource]] = {"dynamodb": AsyncServiceResource, "Table": AsyncTable}


@lru_cache(maxsize=1)
def service_model() -> ServiceModel:
    """Return botocore's model of DynamoDB."""
    return ServiceModel(shared_loader().load_service_model("dynamodb", "service-2"), "dynamodb")


@lru_cache(maxsize=1)
def shared_loader() -> Any:
    """Return the loader that all of this library's own async sessions share: it keeps the models that it has read."""
    return plain_loader(botocore.session.get_session().get_config_variable("data_path"))


@lru_cache(maxsize=1)
def _context() -> Any:
    return boto3.utils.ServiceContext(
        service_name="dynamodb",
        service_model=service_model(),
        resource_json_definitions=resource_definitions()["resources"],
        service_waiter_model=None,
    )


class _Factory:
    """Makes the classes; in the place of boto3's ResourceFactory where boto3's handlers ask for one."""

    def load_from_definition(
        self, resource_name: str, single_resource_json_definition: Any, service_context: Any
    ) -> type[AsyncResource]:
        """Return the class for a resource of the model."""
        del single_resource_json_definition, service_context
        return resource_class(resource_name)


_factory = _Factory()


@cache
def resource_class(name: str) -> type[AsyncResource]:
    """Return the class for `dynamodb` (the service) or one of its resources (`Table`), made once."""
    definitions = resource_definitions()
    definition = definitions["service"] if name == "dynamodb" else definitions["resources"][name]
    model = ResourceModel(name, definition, definitions["resources"])
    shape = service_model().shape_for(model.shape) if model.shape else None
    model.load_rename_map(shape)
    meta = ResourceMeta("dynamodb", resource_model=model)
    attributes: dict[str, Any] = {"meta": meta, "__module__": __name__}
    for identifier in model.identifiers:
        meta.identifiers.append(identifier.name)
        attributes[identifier.name] = _identifier(identifier.name)
    if shape is not None:
        aliases = {identifier.member_name: identifier.name for identifier in model.identifiers}
        for attribute, (member, _shape) in model.get_attributes(shape).items():
            attributes[attribute] = (
                _identifier(aliases[attribute]) if attribute in aliases else _attribute(attribute, member)
            )
    if model.load:
        attributes["_load_data"] = _load_data(model.load)
        attributes["load"] = _verb(_loader(), "load")
        attributes["reload"] = _verb(_loader(), "reload")
    for action in model.actions:
        attributes[action.name] = _action(action, clears=bool(model.load))
    for collection in model.collections:
        attributes[collection.name] = _collection(collection)
    for waiter in model.waiters:
        attributes[waiter.name] = _waiter(waiter)
    attributes["get_available_subresources"] = _subresource_names(model)
    if name == "dynamodb":
        attributes["Table"] = _table
    class_name = "ServiceResource" if name == "dynamodb" else name
    return type(f"dynamodb.{class_name}", (_BASES.get(name, AsyncResource),), attributes)


def _table(
    self: Any,
    name: str,
    *,
    policy: Policy | None = None,
    ttl: str | TimeToLive | NotGiven | None = NOT_GIVEN,
    **unknown: Any,
) -> AwaitableTable:
    refuse_unknown("Table", unknown, TABLE_OPTIONS)
    check_options(policy, ttl)
    client = self.meta.client
    is_lazy = isinstance(client, LazyClient)
    client = client.view(name, policy, ttl) if is_lazy else with_options(client, name, policy, ttl)
    return _awaitable_table()(name, client=client)


@cache
def _awaitable_table() -> type[AwaitableTable]:
    plain = resource_class("Table")
    about = {"__module__": __name__, "_plain": plain}
    return type(plain.__name__, (AwaitableTable, plain), about)


def _identifier(name: str) -> property:
    return property(lambda self: getattr(self, f"_{name}", None))


def _attribute(name: str, member: str) -> property:
    async def load_and_get(self: Any) -> Any:
        data = self.meta.data
        if data is None:
            data = await self._load_data()
        return data.get(member)

    load_and_get.__name__, load_and_get.__qualname__ = name, f"AsyncTable.{name}"
    return property(lambda self: Pending(load_and_get(self), f"table.{name}"))


def _load_data(model: Any) -> Callable[..., Any]:
    operation = xform_name(model.request.operation)

    async def load_data(self: Any) -> Any:
        client = await opened(self.meta.client, model.request.operation)
        response = await getattr(client, operation)(**create_request_parameters(self, model.request))
        data = RawHandler(model.path)(self, {}, response)
        self.meta.data = data
        return data

    return load_data


def _loader() -> Callable[..., Any]:
    async def load(self: Any) -> None:
        await self._load_data()

    return load


def _action(model: Any, *, clears: bool) -> Callable[..., Any]:
    plain = plain_operation(model) if clears else None
    if plain is not None:
        return _verb(_call(model.request.operation, plain), model.name)
    operation = xform_name(model.request.operation)
    handle = _response_handler(model)

    async def act(self: Any, *args: Any, **kwargs: Any) -> Any:
        params = create_request_parameters(self, model.request)
        params.update(kwargs)
        client = await opened(self.meta.client, model.request.operation)
        response = await getattr(client, operation)(*args, **params)
        if clears:
            self.meta.data = None  # read anew when an attribute is asked for
        return handle(self, params, response)

    return _verb(act, model.name)


def _call(operation: str, method: str) -> Callable[..., Any]:
    """Return an action that calls the client's method at once: its parameters need no look at the model."""

    async def act(self: Any, *args: Any, **kwargs: Any) -> Any:
        client = self.meta.client
        if isinstance(client, LazyClient):
            client = await client.current(operation)
        response = await getattr(client, method)(*args, **{"TableName": self.name, **kwargs})
        self.meta.data = None  # read anew when an attribute is asked for
        return response

    return act


def _response_handler(model: Any) -> Any:
    if not model.resource:
        return RawHandler(model.path)
    return ResourceHandler(
        search_path=model.resource.path,
        factory=_factory,
        resource_model=model.resource,
        service_context=_context(),
        operation_name=model.request.operation,
    )


def _waiter(model: Any) -> Callable[..., Any]:
    async def wait(self: Any, **kwargs: Any) -> None:
        params = create_request_parameters(self, model)
        params.update(kwargs)
        client = await opened(self.meta.client, model.waiter_name)
        await client.get_waiter(xform_name(model.waiter_name)).wait(**params)

    return _verb(wait, model.name)


def _verb(function: Callable[..., Coroutine[Any, Any, Any]], name: str) -> Callable[..., Pending[Any]]:
    function.__name__, function.__qualname__ = name, f"AsyncTable.{name}"  # for "... was never awaited"
    described = f"table.{name}(...)"

    def verb(self: Any, *args: Any, **kwargs: Any) -> Pending[Any]:
        return Pending(function(self, *args, **kwargs), described)

    verb.__name__ = verb.__qualname__ = name
    return verb


def _subresource_names(model: Any) -> Callable[[Any], list[str]]:
    names = sorted(subresource.name for subresource in model.subresources)
    return lambda self: names  # noqa: ARG005 - a method


def _collection(model: Any) -> property:
    return property(lambda self: AsyncCollectionManager(model, self, _factory, _context()))


class AsyncCollection(ResourceCollection):  # type: ignore[misc]  # boto3 has no types of its own
    """A collection of resources, for `async for`."""

    __iter__ = None  # boto3's sends requests

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for page in self.pages():
            for item in page:
                yield item

    async def pages(self) -> AsyncIterator[list[Any]]:
        """Return the resources page by page, as the service gives them."""
        settings = dict(self._params)
        limit, page_size = settings.pop("limit", None), settings.pop("page_size", None)
        params = {**create_request_parameters(self._parent, self._model.request), **settings}
        client = await opened(self._parent.meta.client, self._model.request.operation)
        paginator = client.get_paginator(self._py_operation_name)
        config = {"MaxItems": limit, "PageSize": page_size}
        async for page in paginator.paginate(PaginationConfig=config, **params):
            yield self._handler(self._parent, params, page)


class AsyncCollectionManager(CollectionManager):  # type: ignore[misc]  # boto3 has no types of its own
    """Makes collections: `all()`, `filter(...)`, `limit(n)`, `page_size(n)`."""

    _collection_cls = AsyncCollection

"""What async sharded and versioned tables hand on to the Table behind them, with its types.

Tests hold the types against those of boto3's Table, and the names against its resource model: none is left out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from resilient_ddb.hooks.models import Behind, handed_on

from .table_reads import AsyncTableReads

if TYPE_CHECKING:
    from datetime import datetime

    from types_aiobotocore_dynamodb import literals, type_defs
    from types_aiobotocore_dynamodb.service_resource import DynamoDBResourceMeta
    from types_aiobotocore_dynamodb.service_resource import Table as _Table
    from types_aiobotocore_dynamodb.type_defs import QueryInputTableQueryTypeDef, ScanInputTableScanTypeDef

    _Reads = AsyncTableReads
else:
    _Reads = handed_on(AsyncTableReads)

# What is behind may be any object with a Table's verbs.
# mypy: disable-error-code="no-any-return"


class AsyncTableBehind(Behind):
    """What every table on a Table hands on: what the table is, not what is in it."""

    if TYPE_CHECKING:
        # Attributes of boto3's Table; `__getattr__` finds them.
        name: str
        meta: DynamoDBResourceMeta
        attribute_definitions: Awaitable[list[type_defs.AttributeDefinitionTypeDef]]
        table_name: Awaitable[str]
        key_schema: Awaitable[list[type_defs.KeySchemaElementTypeDef]]
        table_status: Awaitable[literals.TableStatusType]
        creation_date_time: Awaitable[datetime]
        provisioned_throughput: Awaitable[type_defs.ProvisionedThroughputDescriptionTypeDef]
        table_size_bytes: Awaitable[int]
        item_count: Awaitable[int]
        table_arn: Awaitable[str]
        table_id: Awaitable[str]
        billing_mode_summary: Awaitable[type_defs.BillingModeSummaryTypeDef]
        local_secondary_indexes: Awaitable[list[type_defs.LocalSecondaryIndexDescriptionTypeDef]]
        global_secondary_indexes: Awaitable[list[type_defs.GlobalSecondaryIndexDescriptionTypeDef]]
        stream_specification: Awaitable[type_defs.StreamSpecificationTypeDef]
        latest_stream_label: Awaitable[str]
        latest_stream_arn: Awaitable[str]
        global_table_version: Awaitable[str]
        replicas: Awaitable[list[type_defs.ReplicaDescriptionTypeDef]]
        global_table_witnesses: Awaitable[list[type_defs.GlobalTableWitnessDescriptionTypeDef]]
        global_table_settings_replication_mode: Awaitable[literals.GlobalTableSettingsReplicationModeType]
        restore_summary: Awaitable[type_defs.RestoreSummaryTypeDef]
        sse_description: Awaitable[type_defs.SSEDescriptionTypeDef]
        archival_summary: Awaitable[type_defs.ArchivalSummaryTypeDef]
        table_class_summary: Awaitable[type_defs.TableClassSummaryTypeDef]
        deletion_protection_enabled: Awaitable[bool]
        disassociation_protection_enabled: Awaitable[bool]
        on_demand_throughput: Awaitable[type_defs.OnDemandThroughputTypeDef]
        warm_throughput: Awaitable[type_defs.TableWarmThroughputDescriptionTypeDef]
        multi_region_consistency: Awaitable[literals.MultiRegionConsistencyType]
        vector_indexes: Awaitable[list[type_defs.VectorIndexDescriptionTypeDef]]

    def load(self) -> Coroutine[Any, Any, None]:
        """Look the table up with DescribeTable; its attributes say what was found."""
        return self._table.load()

    def reload(self) -> Coroutine[Any, Any, None]:
        """Look the table up again. See `load`."""
        return self._table.reload()

    def update(self, **kwargs: Unpack[type_defs.UpdateTableInputTableUpdateTypeDef]) -> Coroutine[Any, Any, _Table]:
        """Change the table's capacity, indexes or stream with UpdateTable, and return the Table itself."""
        return self._table.update(**kwargs)

    def delete(self) -> Coroutine[Any, Any, type_defs.DeleteTableOutputTypeDef]:
        """Delete the table with all its items."""
        return self._table.delete()

    def wait_until_exists(self) -> Coroutine[Any, Any, None]:
        """Wait until the table can be used."""
        return self._table.wait_until_exists()

    def wait_until_not_exists(self) -> Coroutine[Any, Any, None]:
        """Wait until the table is deleted."""
        return self._table.wait_until_not_exists()

    def get_available_subresources(self) -> Coroutine[Any, Any, Sequence[str]]:
        """Return the names of the resources that boto3 makes of a Table: there are none."""
        return self._table.get_available_subresources()


class AsyncReadsBehind(AsyncTableBehind, _Reads):
    """What a versioned table hands on besides: reads, which go by no version."""

    def get_item(
        self, **kwargs: Unpack[type_defs.GetItemInputTableGetItemTypeDef]
    ) -> Coroutine[Any, Any, type_defs.GetItemOutputTableTypeDef]:
        """Read an item, with its version as one of its attributes."""
        return self._table.get_item(**kwargs)

    def query(
        self, **kwargs: Unpack[QueryInputTableQueryTypeDef]
    ) -> Coroutine[Any, Any, type_defs.QueryOutputTableTypeDef]:
        """Read a page of the items that have a partition key."""
        return self._table.query(**kwargs)

    def scan(
        self, **kwargs: Unpack[ScanInputTableScanTypeDef]
    ) -> Coroutine[Any, Any, type_defs.ScanOutputTableTypeDef]:
        """Read a page of the table's items."""
        return self._table.scan(**kwargs)

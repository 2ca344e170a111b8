"""What sharded and versioned tables hand on to the Table behind them, with its types.

Tests hold the types against those of boto3's Table, and the names against its resource model: none is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from resilient_ddb.hooks.models import Behind, handed_on

from .table_reads import TableReads

if TYPE_CHECKING:
    from datetime import datetime

    from types_boto3_dynamodb import literals, type_defs
    from types_boto3_dynamodb.service_resource import DynamoDBResourceMeta
    from types_boto3_dynamodb.service_resource import Table as _Table
    from types_boto3_dynamodb.type_defs import QueryInputTableQueryTypeDef, ScanInputTableScanTypeDef

    _Reads = TableReads
else:
    _Reads = handed_on(TableReads)

# What is behind may be any object with a Table's verbs.
# mypy: disable-error-code="no-any-return"


class TableBehind(Behind):
    """What every table on a Table hands on: what the table is, not what is in it."""

    if TYPE_CHECKING:
        # Attributes of boto3's Table; `__getattr__` finds them.
        name: str
        meta: DynamoDBResourceMeta
        attribute_definitions: list[type_defs.AttributeDefinitionTypeDef]
        table_name: str
        key_schema: list[type_defs.KeySchemaElementTypeDef]
        table_status: literals.TableStatusType
        creation_date_time: datetime
        provisioned_throughput: type_defs.ProvisionedThroughputDescriptionTypeDef
        table_size_bytes: int
        item_count: int
        table_arn: str
        table_id: str
        billing_mode_summary: type_defs.BillingModeSummaryTypeDef
        local_secondary_indexes: list[type_defs.LocalSecondaryIndexDescriptionTypeDef]
        global_secondary_indexes: list[type_defs.GlobalSecondaryIndexDescriptionTypeDef]
        stream_specification: type_defs.StreamSpecificationTypeDef
        latest_stream_label: str
        latest_stream_arn: str
        global_table_version: str
        replicas: list[type_defs.ReplicaDescriptionTypeDef]
        global_table_witnesses: list[type_defs.GlobalTableWitnessDescriptionTypeDef]
        global_table_settings_replication_mode: literals.GlobalTableSettingsReplicationModeType
        restore_summary: type_defs.RestoreSummaryTypeDef
        sse_description: type_defs.SSEDescriptionTypeDef
        archival_summary: type_defs.ArchivalSummaryTypeDef
        table_class_summary: type_defs.TableClassSummaryTypeDef
        deletion_protection_enabled: bool
        disassociation_protection_enabled: bool
        on_demand_throughput: type_defs.OnDemandThroughputTypeDef
        warm_throughput: type_defs.TableWarmThroughputDescriptionTypeDef
        multi_region_consistency: literals.MultiRegionConsistencyType
        vector_indexes: list[type_defs.VectorIndexDescriptionTypeDef]

    def load(self) -> None:
        """Look the table up with DescribeTable; its attributes say what was found."""
        return self._table.load()

    def reload(self) -> None:
        """Look the table up again. See `load`."""
        return self._table.reload()

    def update(self, **kwargs: Unpack[type_defs.UpdateTableInputTableUpdateTypeDef]) -> _Table:
        """Change the table's capacity, indexes or stream with UpdateTable, and return the Table itself."""
        return self._table.update(**kwargs)

    def delete(self) -> type_defs.DeleteTableOutputTypeDef:
        """Delete the table with all its items."""
        return self._table.delete()

    def wait_until_exists(self) -> None:
        """Wait until the table can be used."""
        return self._table.wait_until_exists()

    def wait_until_not_exists(self) -> None:
        """Wait until the table is deleted."""
        return self._table.wait_until_not_exists()

    def get_available_subresources(self) -> Sequence[str]:
        """Return the names of the resources that boto3 makes of a Table: there are none."""
        return self._table.get_available_subresources()


class ReadsBehind(TableBehind, _Reads):
    """What a versioned table hands on besides: reads, which go by no version."""

    def get_item(
        self, **kwargs: Unpack[type_defs.GetItemInputTableGetItemTypeDef]
    ) -> type_defs.GetItemOutputTableTypeDef:
        """Read an item, with its version as one of its attributes."""
        return self._table.get_item(**kwargs)

    def query(self, **kwargs: Unpack[QueryInputTableQueryTypeDef]) -> type_defs.QueryOutputTableTypeDef:
        """Read a page of the items that have a partition key."""
        return self._table.query(**kwargs)

    def scan(self, **kwargs: Unpack[ScanInputTableScanTypeDef]) -> type_defs.ScanOutputTableTypeDef:
        """Read a page of the table's items."""
        return self._table.scan(**kwargs)

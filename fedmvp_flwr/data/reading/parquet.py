"""A parquet file as rows whose cells are read by column, and only where somebody asks for them.

Tables come with embeddings, or with dates that Python has no value for: nobody needs those, and as
Python objects they would take many times their size.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading.csv_text import require_distinct


class ParquetColumns:
    """The columns of a file.

    Attributes:
        names: in the order of the file.
        num_rows: number of rows.
    """

    def __init__(self, path: Path, name: str) -> None:
        """Read the schema.

        Args:
            path: the file.
            name: how messages name it.

        Raises:
            DataError: it is no parquet file, or two columns have the same name.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path, self._name = path, name
        self._values: dict[str, list[Any]] = {}
        try:
            with pq.ParquetFile(path) as file:
                self.names: list[str] = list(file.schema_arrow.names)
                self.num_rows: int = file.metadata.num_rows
        except (pa.ArrowException, ValueError) as error:
            raise DataError(f"'{name}' is no parquet file that can be read ({error}).") from error
        require_distinct(self.names, name)

    def values(self, column: str) -> list[Any]:
        """The cells of a column as Python values.

        Raises:
            KeyError: there is no such column.
            DataError: it cannot be read, or Python has no such values.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        if column not in self._values:
            if column not in self.names:
                raise KeyError(column)
            try:
                with pq.ParquetFile(self._path) as file:
                    # The name of a field in it may be the same as that of another column.
                    cells = file.read(columns=[column]).column(column)
                self._values[column] = cells.to_pylist()
            except (pa.ArrowException, OSError, OverflowError, ValueError) as error:
                raise DataError(
                    f"'{self._name}': column '{column}' cannot be read ({error}). Write it as "
                    "text, or name another column."
                ) from error
        return self._values[column]


class ParquetCells(Mapping[str, Any]):
    """The cells of one row by column."""

    __slots__ = ("_columns", "_index")

    def __init__(self, columns: ParquetColumns, index: int) -> None:
        """Read nothing yet.

        Args:
            columns: of the file.
            index: number of the row, from 0.
        """
        self._columns, self._index = columns, index

    def __getitem__(self, column: str) -> Any:  # noqa: ANN401 - any value of a table
        """The cell, of which the whole column is read and kept."""
        return self._columns.values(column)[self._index]

    def __contains__(self, column: object) -> bool:
        """Whether there is such a column; it is not read for that."""
        return column in self._columns.names

    def __iter__(self) -> Iterator[str]:
        """The names of the columns."""
        return iter(self._columns.names)

    def __len__(self) -> int:
        """Number of columns."""
        return len(self._columns.names)

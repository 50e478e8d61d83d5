package pgdump

import (
	"context"
	"io"
	"slices"
)

// Contents is what a dump that was verified has.
type Contents struct {
	// ServerVersion and DumpVersion are the versions of the server that was
	// dumped and of the pg_dump that did it.
	ServerVersion string `json:"server_version"`
	DumpVersion   string `json:"pg_dump_version"`
	// PlainBytes, PlainSHA256, CipherBytes and CipherSHA256 are as in [Receipt].
	PlainBytes   int64  `json:"plain_bytes"`
	PlainSHA256  string `json:"plain_sha256"`
	CipherBytes  int64  `json:"cipher_bytes"`
	CipherSHA256 string `json:"cipher_sha256"`
	// Tables are the tables whose rows the dump has, sorted, with the exact
	// number of rows. A table that was dumped without its rows is not among them.
	Tables []TableRows `json:"tables"`
	// LargeObjects is how many large objects it has.
	LargeObjects int64 `json:"large_objects"`
}

// Verify proves that a dump is whole and can be read, without a database: it
// decrypts all of it, compares it with its receipt if there is one, and has
// pg_restore read all of it, every row, as it would for a restore. It proves
// nothing about whether a server accepts the rows: that takes a restore.
//
// When ctx ends, pg_restore is ended and waited for, as is a Read of r that blocks.
// Without a receipt it cannot be known whether this is the dump that was made.
//
// The errors: [ErrDamaged], [ErrKey], [ErrVersion], that of ctx or of r.
func (d *Dumper) Verify(ctx context.Context, r io.Reader, receipt *Receipt) (Contents, error) {
	contents, _, err := d.verify(ctx, "verify", r, receipt)
	return contents, finish("verify", true, err)
}

// verify also returns the statements that a restore would drop things with.
func (d *Dumper) verify(ctx context.Context, op string, r io.Reader, receipt *Receipt) (Contents, *script, error) {
	if err := d.can(false, false, false, true); err != nil {
		return Contents{}, nil, err
	}
	if receipt != nil {
		if err := receipt.check(); err != nil {
			return Contents{}, nil, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	data, err := d.startReading(ctx, dataScript)
	if err != nil {
		return Contents{}, nil, err
	}
	defer data.end()
	head, err := d.startReading(ctx, schemaScript)
	if err != nil {
		return Contents{}, nil, err
	}
	defer head.end()
	sum, err := d.read(ctx, op, r, receipt, io.MultiWriter(data, head))
	if err != nil {
		return Contents{}, nil, err
	}
	schema, err := head.result(ctx)
	if err != nil {
		return Contents{}, nil, err
	}
	rows, err := data.result(ctx)
	if err != nil {
		return Contents{}, nil, err
	}
	slices.SortFunc(rows.tables, func(a, b TableRows) int { return a.compare(b.TableName) })
	return Contents{
		ServerVersion: schema.server, DumpVersion: schema.dump,
		PlainBytes: sum.plainBytes, PlainSHA256: sum.plainSHA256,
		CipherBytes: sum.cipherBytes, CipherSHA256: sum.cipherSHA256,
		Tables: rows.tables, LargeObjects: rows.largeObjects,
	}, schema, nil
}

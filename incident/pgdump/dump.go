package pgdump

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"filippo.io/age"
)

// Dump writes an encrypted dump of the database to w, and returns its receipt.
//
// There is a receipt only if pg_dump ended well, its archive can be read by
// pg_restore, and w took everything. After an error, w may have a part of a dump,
// which nothing takes for a dump, and which the host deletes; after success the
// host closes w, and has a dump only if closing succeeds.
//
// When ctx ends, pg_dump is ended and waited for. A Write of w that blocks is
// waited for as well: w has to return when ctx ends.
//
// The errors: [ErrVersion], that of ctx, of w, [os.ErrDeadlineExceeded] if pg_dump
// said nothing for Config.StallTimeout, or what pg_dump failed of.
func (d *Dumper) Dump(ctx context.Context, w io.Writer) (Receipt, error) {
	cipher := newMeter(w, nil)
	receipt, err := d.dump(ctx, cipher)
	return receipt, finish("dump", cipher.count == 0 && cipher.err == nil, err)
}

func (d *Dumper) dump(ctx context.Context, cipher *meter) (Receipt, error) {
	if err := d.can(true, false, true, false); err != nil {
		return Receipt{}, err
	}
	// What is left running when this returns is stopped.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	receipt := Receipt{Format: Format, Started: time.Now().UTC().Round(0), Database: d.cfg.Connection.Database}
	began := time.Now()

	dump, err := d.start(ctx, d.cfg.PgDump, d.dumpArguments(), d.cfg.Connection.environment("runbook-dump"), false, true)
	if err != nil {
		return Receipt{}, err
	}
	defer dump.end()
	head, err := d.startReading(ctx, schemaScript)
	if err != nil {
		return Receipt{}, err
	}
	defer head.end()

	encrypted := &lazyAge{w: cipher, recipients: d.cfg.Recipients}
	plain := newMeter(io.MultiWriter(encrypted, head), nil)
	if err := d.copyDump(ctx, plain, cipher, dump); err != nil {
		// A program that has ended by itself is the better reason, unless it was
		// the writer that failed.
		if cipher.err != nil {
			return Receipt{}, because(cipher.err, "write the dump")
		}
		return Receipt{}, cmp.Or(ctx.Err(), err)
	}
	if err := dump.wait(ctx); err != nil {
		return Receipt{}, err
	}
	contents, err := head.result(ctx)
	if err != nil {
		return Receipt{}, err
	}
	// Only now the end is written that makes this a dump.
	if err := encrypted.close(); err != nil {
		return Receipt{}, because(err, "write the end of the dump")
	}
	(&report{hook: d.cfg.Progress, op: "dump"}).at(plain.count, cipher.count, true)
	receipt.ServerVersion, receipt.DumpVersion = contents.server, contents.dump
	receipt.PlainBytes, receipt.PlainSHA256 = plain.count, plain.digest()
	receipt.CipherBytes, receipt.CipherSHA256 = cipher.count, cipher.digest()
	receipt.Tables = contents.tableNames()
	receipt.Duration = time.Since(began)
	return receipt, nil
}

// copyDump moves what pg_dump writes, until it writes no more.
func (d *Dumper) copyDump(ctx context.Context, plain, cipher *meter, dump *child) error {
	progress := &report{hook: d.cfg.Progress, op: "dump"}
	buffer := make([]byte, chunk)
	for {
		if err := dump.out.SetReadDeadline(time.Now().Add(d.cfg.StallTimeout)); err != nil {
			return cmp.Or(ctx.Err(), err)
		}
		n, err := dump.out.Read(buffer)
		if n > 0 {
			if _, err := plain.Write(buffer[:n]); err != nil {
				return err
			}
			progress.at(plain.count, cipher.count, false)
		}
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return &Error{Program: dump.name, cause: err, detail: fmt.Sprintf("it wrote nothing for %v: look for what the server waits for, or raise StallTimeout", d.cfg.StallTimeout)}
		case err != nil:
			return &Error{Program: dump.name, cause: err, detail: "read from it"}
		}
	}
}

func (d *Dumper) dumpArguments() []string {
	args := []string{"--format=custom", "--no-password", fmt.Sprintf("--lock-wait-timeout=%d", d.cfg.LockTimeout.Milliseconds())}
	if d.cfg.Compress != "" {
		args = append(args, "--compress="+d.cfg.Compress)
	}
	if len(d.cfg.Schemas) > 0 {
		args = append(args, "--strict-names")
	}
	for _, list := range []struct {
		option   string
		patterns []string
	}{
		{"--schema=", d.cfg.Schemas},
		{"--exclude-schema=", d.cfg.ExcludeSchemas},
		{"--exclude-table=", d.cfg.ExcludeTables},
		{"--exclude-table-data=", d.cfg.ExcludeData},
	} {
		for _, p := range list.patterns {
			args = append(args, list.option+p)
		}
	}
	return append(args, d.cfg.Connection.database())
}

// lazyAge begins an encrypted file when there is something to encrypt, so that a
// dump that could not begin has written nothing.
type lazyAge struct {
	w          io.Writer
	recipients []age.Recipient
	to         io.WriteCloser
}

// Write implements io.Writer.
func (l *lazyAge) Write(p []byte) (int, error) {
	if l.to == nil {
		to, err := age.Encrypt(l.w, l.recipients...)
		if err != nil {
			return 0, because(err, "encrypt the dump")
		}
		l.to = to
	}
	return l.to.Write(p)
}

// close writes the end, by which a reader knows that nothing is missing.
func (l *lazyAge) close() error {
	if l.to == nil {
		return errors.New("there is nothing to encrypt")
	}
	return l.to.Close()
}

// tableNames are the tables that the archive makes, sorted.
func (s *script) tableNames() []TableName {
	var names []TableName
	for name, kind := range s.dropped() {
		if kind == "TABLE" {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, TableName.compare)
	return names
}

func (n TableName) compare(other TableName) int {
	return cmp.Or(cmp.Compare(n.Schema, other.Schema), cmp.Compare(n.Name, other.Name))
}

package pgdump

import (
	"context"
	"io"
)

// reading is pg_restore making a script of the archive that is fed to it.
type reading struct {
	feed
	script chan scriptResult
	ended  chan struct{} // closed once the script is not read any more
}

type scriptResult struct {
	script *script
	err    error
}

// The two scripts: what an archive would remove and make, for which its head is
// enough, and all of its data.
var (
	schemaScript = []string{"--schema-only", "--clean", "--if-exists", "--file=-"}
	dataScript   = []string{"--data-only", "--file=-"}
)

// startReading runs pg_restore without a database.
func (d *Dumper) startReading(ctx context.Context, args []string) (*reading, error) {
	c, err := d.start(ctx, d.cfg.PgRestore, append([]string{"--format=custom"}, args...), plainEnvironment(), true, true)
	if err != nil {
		return nil, err
	}
	r := &reading{feed: feed{c: c, stall: d.cfg.StallTimeout}, script: make(chan scriptResult, 1), ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		found, err := readScript(c.out)
		// Whatever was wrong with it, the program must be able to end.
		_, _ = io.Copy(io.Discard, c.out)
		r.script <- scriptResult{found, err}
	}()
	return r, nil
}

// end ends it, and waits for that. To be deferred.
func (r *reading) end() {
	r.c.end()
	<-r.ended
}

// result waits for the script, after all of the archive was fed.
func (r *reading) result(ctx context.Context) (*script, error) {
	r.close()
	got := <-r.script
	if err := r.c.wait(ctx); err != nil {
		if own, ok := err.(*Error); ok && own.kind == nil && own.Exit > 0 {
			own.kind = ErrDamaged // it has no database to fail of
		}
		return nil, err
	}
	switch {
	case got.err != nil:
		return nil, &Error{Program: r.c.name, cause: got.err, detail: "read what it wrote"}
	case !got.script.complete:
		return nil, &Error{Program: r.c.name, kind: ErrDamaged, detail: "it ended without having written all"}
	}
	return got.script, nil
}

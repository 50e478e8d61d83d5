package sqlstore_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/sqlstore"
)

// An incident.Manager does this for a host; here it is done by hand. A real program opens a
// file or a PostgreSQL server.
func Example() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // a database in memory is its connection

	store, err := sqlstore.New(ctx, sqlstore.Config{DB: db})
	if err != nil {
		fmt.Println(err)
		return
	}
	at := time.Date(2026, time.October, 5, 3, 12, 0, 0, time.UTC)
	open := incident.Document{
		Kind: "incident", ID: "INC-2026-0042", Key: "production/app", Open: true, Changed: at,
		Data: json.RawMessage(`{"title":"the application is down"}`),
	}
	made, err := store.Commit(ctx, incident.Change{
		Documents: []incident.Document{open},
		Entries: []incident.Entry{
			{Chain: "incident/INC-2026-0042", At: at, Kind: "opened", Text: "app has failed 3 checks in a row"},
			{Chain: "audit", At: at, Kind: "opened", Actor: "alerts", Text: "opened INC-2026-0042"},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("opened at version", made.Documents[0].Version)

	// Another replica sees the same alert.
	open.ID = "INC-2026-0043"
	_, err = store.Commit(ctx, incident.Change{Documents: []incident.Document{open}})
	fmt.Println(errors.Is(err, incident.ErrTaken), err)

	last, err := incident.VerifyChain(store.Entries(ctx, "audit", 0))
	fmt.Println("the audit record has", last.Seq, "entry:", last.Text, err)
	// Output:
	// opened at version 1
	// true sqlstore: commit: document incident INC-2026-0043: there is one already: another open one has its key
	// the audit record has 1 entry: opened INC-2026-0042 <nil>
}

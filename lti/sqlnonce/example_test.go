package sqlnonce_test

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/sqlnonce"
)

// A tool calls Use for each launch; here it is called by hand. A real program
// opens a file or a PostgreSQL server.
func Example() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // a database in memory is its connection

	var nonces lti.NonceStore
	nonces, err = sqlnonce.New(ctx, sqlnonce.Config{DB: db})
	if err != nil {
		fmt.Println(err)
		return
	}
	id := lti.NewNonceID("https://canvas.instructure.com", "10000000000042", "n-0S6_WzA2Mj")
	until := time.Now().Add(time.Hour) // when the token has expired
	fmt.Println("first: ", nonces.Use(ctx, id, until))
	fmt.Println("replay:", nonces.Use(ctx, id, until))

	removed, err := nonces.PurgeExpired(ctx) // removes nothing that is live
	fmt.Println("purged:", removed, err)
	// Output:
	// first:  <nil>
	// replay: sqlnonce: use a nonce: nonce was used before
	// purged: 0 <nil>
}

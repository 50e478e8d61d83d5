package sqlprobe_test

import (
	"context"
	"database/sql"
	"fmt"

	"go.acu.edu.au/runbook/health/sqlprobe"
)

// The database works, but a grade belongs to nobody. A real program opens its
// own database, and sets Config.Postgres if it is PostgreSQL.
func Example() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // a database in memory is its connection
	_, err = db.ExecContext(ctx, "CREATE TABLE grades (student TEXT); INSERT INTO grades VALUES ('s1'), (NULL)")
	if err != nil {
		fmt.Println(err)
		return
	}

	prober, err := sqlprobe.New(sqlprobe.Config{
		DB:      db,
		Queries: []sqlprobe.Query{{Name: "grades", SQL: "SELECT count(*) FROM grades"}},
		Invariants: []sqlprobe.Invariant{{
			Name: "grades_without_student",
			SQL:  "SELECT count(*) FROM grades WHERE student IS NULL",
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	result := prober.Probe(ctx)
	fmt.Println(result.Status, result.Cause)
	fmt.Println(result.Message)
	grades, _ := result.Measurement("grades")
	fmt.Println(grades)
	// Output:
	// unhealthy assertion
	// the invariant is violated: grades_without_student 1
	// grades 2
}

package runbook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.acu.edu.au/runbook"
)

// A Secret can be kept in a configuration that is printed and written to logs.
func ExampleSecret() {
	type config struct {
		BaseURL string
		Token   runbook.Secret
	}
	c := config{BaseURL: "https://aculeo.instructure.com", Token: runbook.NewSecret("7~abcdef")}

	fmt.Printf("%+v\n", c)
	b, err := json.Marshal(c)
	fmt.Println(string(b), err)

	// Only Reveal returns the text: where it goes on the wire.
	fmt.Println(len("Bearer " + c.Token.Reveal()))
	// Output:
	// {BaseURL:https://aculeo.instructure.com Token:[redacted]}
	// {"BaseURL":"https://aculeo.instructure.com","Token":"[redacted]"} <nil>
	// 15
}

// Two replicas refresh the same token. The one that is late notices, and takes
// the newer token instead of overwriting it.
func ExampleCredentialStore() {
	ctx := context.Background()
	var store runbook.CredentialStore = &runbook.MemoryCredentials{}
	first, err := store.Put(ctx, "canvas/production", runbook.NewSecret("token 1"), "") // must not exist yet
	if err != nil {
		fmt.Println(err)
		return
	}

	_, err = store.Put(ctx, "canvas/production", runbook.NewSecret("token 2"), first)
	fmt.Println("replica 1:", err)
	_, err = store.Put(ctx, "canvas/production", runbook.NewSecret("token 3"), first)
	fmt.Println("replica 2 conflicts:", errors.Is(err, runbook.ErrConflict))

	newest, err := store.Get(ctx, "canvas/production")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("both use:", newest.Secret.Reveal())
	// Output:
	// replica 1: <nil>
	// replica 2 conflicts: true
	// both use: token 2
}

// rejected is an error of a client that knows that its request was not sent.
type rejected struct{ error }

func (rejected) SafeToRetry() bool { return true }

// Whether a restart may be asked for again depends on what is known of the
// first one, not on how bad the error looks.
func ExampleSafeToRetry() {
	notSent := fmt.Errorf("restart: %w", rejected{errors.New("connection refused")})
	noAnswer := fmt.Errorf("restart: %w", context.DeadlineExceeded)

	fmt.Println(runbook.SafeToRetry(notSent))
	fmt.Println(runbook.SafeToRetry(noAnswer))
	fmt.Println(runbook.SafeToRetry(errors.Join(notSent, noAnswer)))
	// Output:
	// true
	// false
	// false
}

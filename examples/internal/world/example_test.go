package world_test

import (
	"fmt"

	"go.acu.edu.au/runbook/examples/internal/world"
)

func Example() {
	w, err := world.New(world.Config{Seed: 7})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close()
	if err := w.Inject(world.Fault{Kind: world.CrashLoop, Param: map[string]string{"variant": "state"}}); err != nil {
		fmt.Println(err)
		return
	}
	production := w.Connections()[2]
	resp, err := production.HTTP.Get(production.Application + "/health")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(production.Name, resp.Status)
	fmt.Println(w.Truth().Causes, len(w.Acts()))
	// Output:
	// production 502 Bad Gateway
	// [crash-loop] 0
}

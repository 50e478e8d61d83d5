package config_test

import (
	"fmt"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/examples/internal/config"
)

func Example() {
	var settings struct {
		URL     string         `config:"url,required"`
		Timeout time.Duration  `config:"timeout"`
		Token   runbook.Secret `config:"token"`
	}
	text := `url: ftp://example.com
timeout: five seconds
token: abc123
tiemout: 5s
`
	file := config.Decode(config.Source{Name: "app.yaml", Text: []byte(text)}, &settings)
	file.Problem("url", "must begin with https://")
	fmt.Println(file.Err())
	// Output:
	// app.yaml:1:1: url: must begin with https://
	// app.yaml:2:10: timeout: must be a duration such as "500ms", "5s" or "1m30s"
	// app.yaml:3:8: token: a secret must not be in the file: write {env: NAME_OF_A_VARIABLE} or {file: /path}
	// app.yaml:4:1: unknown key "tiemout"; known are timeout, token, url
}

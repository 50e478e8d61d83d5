module go.acu.edu.au/runbook/internal/peers

go 1.26.0

require (
	github.com/AppsFlyer/go-sundheit v0.6.0
	github.com/alexliesenfeld/health v0.8.0
	github.com/hellofresh/health-go/v5 v5.5.4
	go.acu.edu.au/runbook v0.0.0
)

require (
	github.com/pkg/errors v0.9.1 // indirect
	go.opentelemetry.io/otel v1.35.0 // indirect
	go.opentelemetry.io/otel/trace v1.35.0 // indirect
)

replace go.acu.edu.au/runbook => ../..

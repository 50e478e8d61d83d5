package railway

import (
	"context"
	"time"

	"github.com/Khan/genqlient/graphql"
)

// SendQuery sends an operation as the methods of the client do. With hides it carries
// values of variables.
func SendQuery(ctx context.Context, c *Client, hides bool, query string, variables, data any) error {
	o := c.op("do something")
	o.hides = hides
	return o.MakeRequest(ctx, &graphql.Request{OpName: "Something", Query: query, Variables: variables}, &graphql.Response{Data: data})
}

// Classify is classify.
func Classify(message, code string, status int) (refused, gateway bool, kind error) {
	return classify(message, code, status)
}

// ParseReset is parseReset.
var ParseReset = parseReset

// Block holds calls back, as an answer does.
func Block(b *Budget, d time.Duration) { b.block(d) }

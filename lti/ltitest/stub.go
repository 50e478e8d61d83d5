package ltitest

import "time"

type accessToken struct{}
type invitation struct{}
type DeepLinkingResponse struct{}
type lineItem struct{ number int }

func (p *Platform) serviceRoutes(on func(string, Endpoint, methods))  {}
func (p *Platform) itemOf(crs *course, t *tool, m *Message) *lineItem { return nil }
func noticeTypes() []string                                           { return []string{"LtiHelloWorldNotice"} }
func (p *Platform) deepLinkingSettings(t *tool, crs *course, m *Message, now time.Time) map[string]any {
	return nil
}

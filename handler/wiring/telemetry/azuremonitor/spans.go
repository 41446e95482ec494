package azuremonitor

import (
	"cmp"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Attributes that have a place of their own in an envelope, by OpenTelemetry's
// semantic conventions for HTTP. All others become properties.
const (
	methodAttribute  = "http.request.method"
	statusAttribute  = "http.response.status_code"
	urlAttribute     = "url.full"
	addressAttribute = "server.address"
)

func spanEnvelope(s sdktrace.ReadOnlySpan) envelope {
	placed, properties := sortAttributes(s)
	id := s.SpanContext().SpanID().String()
	took := timeSpan(s.EndTime().Sub(s.StartTime()).Round(100 * time.Nanosecond))
	success := s.Status().Code != codes.Error
	code := clip(cmp.Or(placed[statusAttribute], "0"), maxResultCode)
	name := clip(s.Name(), maxName)

	tags := resourceTags(s.Resource())
	tags["ai.operation.id"] = s.SpanContext().TraceID().String()
	if parent := s.Parent().SpanID(); parent.IsValid() {
		tags["ai.operation.parentId"] = parent.String()
	}
	switch s.SpanKind() {
	case trace.SpanKindServer, trace.SpanKindConsumer:
		tags["ai.operation.name"] = name
		return newEnvelope("Request", "RequestData", s.StartTime(), tags, requestData{
			Ver: 2, ID: id, Name: name, Duration: took, Success: success, ResponseCode: code,
			URL: clip(placed[urlAttribute], maxURL), Properties: properties,
		})
	default:
		return newEnvelope("RemoteDependency", "RemoteDependencyData", s.StartTime(), tags, dependencyData{
			Ver: 2, ID: id, Name: name, Type: dependencyType(s, placed), Duration: took, Success: success, ResultCode: code,
			Target: clip(placed[addressAttribute], maxTarget), Data: clip(placed[urlAttribute], maxData), Properties: properties,
		})
	}
}

// dependencyType is one of the words that the portal draws icons for.
func dependencyType(s sdktrace.ReadOnlySpan, placed map[string]string) string {
	switch {
	case placed[methodAttribute] != "":
		return "Http"
	case s.SpanKind() == trace.SpanKindProducer:
		return "Queue Message"
	case s.SpanKind() == trace.SpanKindInternal && s.Parent().SpanID().IsValid():
		return "InProc"
	default:
		return "Dependency"
	}
}

func sortAttributes(s sdktrace.ReadOnlySpan) (placed, properties map[string]string) {
	placed, properties = map[string]string{}, map[string]string{}
	for _, kv := range s.Attributes() {
		switch kv.Key {
		case methodAttribute, statusAttribute, urlAttribute, addressAttribute:
			placed[string(kv.Key)] = kv.Value.String()
		default:
			setProperty(properties, kv)
		}
	}
	return placed, properties
}

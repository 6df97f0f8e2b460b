package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	eventBody   = 500 // bytes of a published event
	publishers  = 64  // connections
	sentDigits  = 19  // of nanoseconds since 1970
	sentMember  = `"sent":"`
	eventType   = "task.create"
	eventsPath  = "/events"
	manyPerUser = 10_000
	dsnVariable = "CONNECTOR_BENCH_DSN"
)

func resourceID(n int) string { return fmt.Sprintf("project-%04d", n) }

// webhook returns the URL of an endpoint.
func webhook(addr string, n int) string { return fmt.Sprintf("http://%s/hook/%04d", addr, n) }

func subscriptions() object {
	return object{
		"handler": "subscriptions", "event_types": object{eventType: object{}}, "resources": object{"project": object{"public": true}},
		"max_per_owner": manyPerUser, "allow_http": true,
	}
}

// event is one for a resource, of eventBody bytes.
func event(resource string) []byte {
	head := fmt.Sprintf(`{"type":%q,"resource_id":%q,"data":{%s%0*d","text":"`, eventType, resource, sentMember, sentDigits, 0)
	const tail = `"}}`
	return []byte(head + strings.Repeat("x", eventBody-len(head)-len(tail)) + tail)
}

// publishing returns requests that publish one event for each of so many
// resources.
func publishing(resources int) (requests [][]byte) {
	for n := range resources {
		requests = append(requests, postJSON(eventsPath, event(resourceID(n))))
	}
	return requests
}

// publishingArrays returns one request with so many events for a resource.
func publishingArrays(resource string, events int) [][]byte {
	list := make([]string, events)
	for i := range list {
		list[i] = string(event(resource))
	}
	return [][]byte{postJSON(eventsPath, []byte("["+strings.Join(list, ",")+"]"))}
}

// accepted is as long as the answer to an event with so many deliveries.
func accepted(deliveries int) []byte {
	return fmt.Appendf(nil, "%s\n", acceptedObject(deliveries))
}

func acceptedObject(deliveries int) string {
	return fmt.Sprintf(`{"id":"evt_01ARZ3NDEKTSV4RRFFQ69G5FAV","duplicate":false,"deliveries":%d}`, deliveries)
}

// acceptedArray is accepted for so many events in one request.
func acceptedArray(events, deliveries int) []byte {
	list := make([]string, events)
	for i := range list {
		list[i] = acceptedObject(deliveries)
	}
	return []byte("[" + strings.Join(list, ",") + "]\n")
}

var caller = &http.Client{Timeout: 30 * time.Second}

// subscribe makes a subscription to a resource and returns its id.
func subscribe(addr, resource, target string) (id string, err error) {
	body, err := json.Marshal(object{
		"target_url": target, "resource_type": "project", "resource_id": resource, "events": []string{eventType},
	})
	if err != nil {
		return "", err
	}
	var made struct {
		ID string `json:"id"`
	}
	return made.ID, call(http.MethodPost, "http://"+addr+"/subscriptions", body, http.StatusCreated, &made)
}

// call sends a request and decodes its answer, which must have the status.
func call(method, url string, body []byte, status int, into any) error {
	request, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	res, err := caller.Do(request)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode != status {
		return fmt.Errorf("%s %s is answered %d: %s", method, url, res.StatusCode, answer)
	}
	return json.Unmarshal(answer, into)
}

func publishRows() (rows []row) {
	accept := side{siteAccept, publishing(publishers), len(accepted(0))}
	publish := side{siteEvents, publishing(publishers), len(accepted(0))}
	for _, on := range databases {
		rows = append(rows, row{
			what: "publish, nobody subscribed, " + on, against: "a route that reads the body", a: publish, b: accept,
			budget: budget{throughput: 0.50}, database: on, conns: publishers,
		}, row{
			what: "publish, 1 subscription, " + on, against: "a route that reads the body", a: publish, b: accept,
			budget: budget{throughput: 0.50}, database: on, conns: publishers, subscribed: publishers,
		})
	}
	return rows
}

// settle has the events of one slice out of the way before the next.
func (r row) settle() error {
	if r.subscribed == 0 {
		return nil
	}
	return settle()
}

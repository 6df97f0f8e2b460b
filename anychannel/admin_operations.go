package anychannel

import (
	"net/http"
	"time"
)

// instanceView is an instance as the admin API shows it: what its metadata is,
// nothing shows.
type instanceView struct {
	Name              string `json:"name"`
	Integration       string `json:"integration"`
	Active            bool   `json:"active"`
	MetadataSet       bool   `json:"metadata_set"`
	MetadataUpdatedAt string `json:"metadata_updated_at"`
	CreatedAt         string `json:"created_at"`
	UpdatedAt         string `json:"updated_at"`
}

func (i *instanceRow) view() any {
	return instanceView{
		Name: i.name, Integration: i.integration, Active: i.state == stateActive,
		MetadataSet: true, MetadataUpdatedAt: formatTime(i.sealedAt), // a row cannot be without
		CreatedAt: formatTime(i.createdAt), UpdatedAt: formatTime(i.updatedAt),
	}
}

// ticketView is a link as the admin API shows it.
type ticketView struct {
	TicketID  string   `json:"ticket_id"`
	Instance  string   `json:"instance"`
	Agents    []string `json:"agents"`
	CreatedAt string   `json:"created_at"`
	UpdatedAt string   `json:"updated_at"`
}

func (t *ticketRow) view() any {
	return ticketView{t.id, t.instance, append([]string{}, t.agents...), formatTime(t.createdAt), formatTime(t.updatedAt)}
}

func formatTime(at int64) string { return time.UnixMicro(at).UTC().Format(time.RFC3339Nano) }

func listInstances(l links, r *http.Request) (*adminAnswer, error) {
	p, err := parsePage(r.URL.Query(), validName)
	if err != nil {
		return nil, err
	}
	found, more, err := l.instances(r.Context(), p)
	if err != nil {
		return nil, err
	}
	return listed(found, more, (*instanceRow).view, func(last *instanceRow) string { return last.name }), nil
}

func getInstance(l links, r *http.Request) (*adminAnswer, error) {
	name := r.PathValue("name")
	if !validName(name) {
		return nil, errInstanceUnknown
	}
	found, err := l.instance(r.Context(), name)
	if err != nil {
		return nil, err
	}
	return &adminAnswer{http.StatusOK, found.view()}, nil
}

func putInstance(l links, r *http.Request) (*adminAnswer, error) {
	name := r.PathValue("name")
	if !validName(name) {
		return nil, errInstanceName
	}
	body, err := readMembers(r, errInstanceMember, "integration", "metadata", "active")
	if err != nil {
		return nil, err
	}
	change, err := parseInstance(name, body)
	if err != nil {
		return nil, err
	}
	kept, created, err := l.putInstance(r.Context(), change)
	if err != nil {
		return nil, err
	}
	return &adminAnswer{putStatus(created), kept.view()}, nil
}

func deleteInstance(l links, r *http.Request) (*adminAnswer, error) {
	name := r.PathValue("name")
	if !validName(name) {
		return nil, errInstanceUnknown
	}
	return &adminAnswer{status: http.StatusNoContent}, l.deleteInstance(r.Context(), name)
}

func listTickets(l links, r *http.Request) (*adminAnswer, error) {
	query := r.URL.Query()
	p, err := parsePage(query, isTicketID)
	if err != nil {
		return nil, err
	}
	name := query.Get("instance")
	if !validName(name) {
		return nil, errInstanceUnknown
	}
	if _, err := l.instance(r.Context(), name); err != nil {
		return nil, err
	}
	found, more, err := l.tickets(r.Context(), name, p)
	if err != nil {
		return nil, err
	}
	return listed(found, more, (*ticketRow).view, func(last *ticketRow) string { return last.id }), nil
}

func getTicket(l links, r *http.Request) (*adminAnswer, error) {
	id := r.PathValue("ticket_id")
	if !isTicketID(id) {
		return nil, errTicketUnknown
	}
	found, err := l.ticket(r.Context(), id)
	if err != nil {
		return nil, err
	}
	return &adminAnswer{http.StatusOK, found.view()}, nil
}

func putTicket(l links, r *http.Request) (*adminAnswer, error) {
	id := r.PathValue("ticket_id")
	if !isTicketID(id) {
		return nil, errTicketNumber
	}
	body, err := readMembers(r, errTicketMember, "instance", "agents")
	if err != nil {
		return nil, err
	}
	ticket, err := parseTicket(id, body)
	if err != nil {
		return nil, err
	}
	created, err := l.putTicket(r.Context(), ticket)
	if err != nil {
		return nil, err
	}
	return &adminAnswer{putStatus(created), ticket.view()}, nil
}

func deleteTicket(l links, r *http.Request) (*adminAnswer, error) {
	id := r.PathValue("ticket_id")
	if !isTicketID(id) {
		return nil, errTicketUnknown
	}
	return &adminAnswer{status: http.StatusNoContent}, l.deleteTicket(r.Context(), id)
}

func validName(name string) bool { return checkName(name) == nil }

func putStatus(created bool) int {
	if created {
		return http.StatusCreated
	}
	return http.StatusOK
}

// listed is a page with the cursor of the next one.
func listed[R any](found []*R, more bool, view func(*R) any, cursor func(*R) string) *adminAnswer {
	page := struct {
		Data       []any   `json:"data"`
		NextCursor *string `json:"next_cursor"`
	}{Data: make([]any, len(found))}
	for i, row := range found {
		page.Data[i] = view(row)
	}
	if more {
		next := cursor(found[len(found)-1])
		page.NextCursor = &next
	}
	return &adminAnswer{http.StatusOK, page}
}

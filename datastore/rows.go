package datastore

import "database/sql"

// Scanner is a row: *sql.Row, *sql.Rows or *Row.
type Scanner interface{ Scan(...any) error }

// Collect reads the rows that Query returned, each with scan, and closes them. A
// server that goes away in their midst is ErrNotReady, as before the first one.
func Collect[R any](rows *sql.Rows, err error, scan func(Scanner) (R, error)) (found []R, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		row, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, row)
	}
	if err := rows.Err(); err != nil && (*postgres)(nil).away(err) {
		return nil, notReady{err}
	}
	return found, rows.Err()
}

// Page is Collect for a query that was asked for one row more than the limit, and
// reports whether that is there.
func Page[R any](rows *sql.Rows, err error, limit int, scan func(Scanner) (R, error)) (found []R, more bool, _ error) {
	if found, err = Collect(rows, err, scan); err != nil || len(found) <= limit {
		return found, false, err
	}
	return found[:limit], true, nil
}

import GRDB
import SQLiteStore

/// How well the tokenizer fits what the index holds.
extension IdentifierIndex {
    /// The mean quantisation error ‖r_L‖², over the items with an identifier; nil if there are none. O(items).
    package func meanQuantisationError() throws -> Double? {
        try store.read { database in
            try Double.fetchOne(database, sql: "SELECT avg(quantisation_error) FROM item WHERE codes IS NOT NULL")
        }
    }
}

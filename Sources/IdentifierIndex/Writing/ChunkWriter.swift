import GRDB
import SQLiteStore
import Core

/// Applies a chunk inside a write transaction: `ChunkPlan` decides item by item, `ChunkRows` writes each decision.
///
/// The identifiers given are written at the end in the order of their table, because they are scattered all over it.
struct ChunkWriter {
    private let rules: AssignmentRules
    private let distances: any ItemDistances
    let rows: ChunkRows

    init(
        _ database: Database, identity: IndexIdentity, rules: AssignmentRules, distances: any ItemDistances, now: Int
    ) throws {
        self.rules = rules
        self.distances = distances
        rows = try ChunkRows(database, identity: identity, rules: rules, now: now)
    }

    func apply(_ chunk: Chunk) throws {
        var plan = try ChunkPlan(chunk.encoded, identity: rows.identity, rules: rules, distances: distances)
        for id in chunk.deleted {
            guard let before = try rows.item(id) else { continue }
            let left = try plan.delete(id, before: before, facts: rows)
            try rows.delete(id, before: before, left: left)
        }
        for rejected in chunk.rejected { try rows.quarantine(rejected, before: try rows.item(rejected.id)) }
        try rows.survey(plan.wanted, items: chunk.encoded.count)
        for (row, item) in chunk.encoded.enumerated() {
            // A chunk takes seconds at most, and may be cut short: nothing of it is applied then.
            if row % 4_096 == 0 { try Task.checkCancellation() }
            let before = try rows.item(item.id)
            let decision = try plan.decide(item, row: row, before: before, facts: rows)
            try rows.write(decision, for: item, before: before)
        }
        plan.sortGiven()
        try rows.writeIdentifiers(plan.given, of: chunk.encoded)
        try rows.writeNodes(plan.given)
        try rows.writeTally()
        if let cursor = chunk.cursor { try cursor.write(rows.database, now: rows.now) }
    }
}

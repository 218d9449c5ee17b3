import ArgumentParser
import Catalog
import Files
import Foundation
import TextEmbedding
import Core

/// The files that `letter catalog import` and `put` read.
struct CatalogSources: ParsableArguments {
    @Option(help: "Semantic embeddings, .npy (f32 or f16), a row an item.")
    var embeddings: String?

    @Option(help: "Ids of the rows of --embeddings and --cf, one a line (default: row numbers).")
    var ids: String?

    @Option(help: "Items, a JSON object with an \"id\" a line.")
    var items: String?

    @Option(help: "Interactions, JSON: {user: [item, …]} in time order.")
    var interactions: String?

    @Option(help: "Collaborative (CF) embeddings, .npy, a row an item.")
    var cf: String?

    @Option(help: "Make the embeddings from the items' text: hashing.")
    var embed: String?

    /// Refuses combinations that mean nothing.
    func check() throws {
        func usage(_ message: String, _ remedy: String) -> CommandFailure {
            CommandFailure("catalog.usage", .usage, message, remedy: remedy)
        }
        guard embeddings != nil || items != nil || interactions != nil || cf != nil else {
            throw usage("There is nothing to read.", "Give --embeddings, --items, --interactions or --cf.")
        }
        guard embed == nil || items != nil else {
            throw usage("--embed makes embeddings from text, and there are no items.", "Give --items too.")
        }
        guard embed == nil || embeddings == nil else {
            throw usage("--embed and --embeddings both give the embeddings.", "Give one of them.")
        }
    }

    /// Writes everything the files hold.
    ///
    /// - Parameter batch: records a transaction; nil: all in one.
    func feed(into writer: CatalogWriter, batch: Int?) throws {
        var steps: [CatalogStep] = []
        if let embeddings { steps.append(try rows(embeddings, "embeddings", writer.format, kind: .embedding)) }
        if let cf { steps.append(try rows(cf, "CF embeddings", writer.format, kind: .collaborative)) }
        if let items { steps.append(try itemStep(items, writer.format)) }
        if let interactions { steps.append(try interactionStep(interactions)) }
        guard let batch else {
            // One transaction: LMDB may run the body again when its map had to grow, so progress is not drawn.
            return try writer.write { transaction in
                for step in steps { for record in 0..<step.count { try step.write(record, &transaction) } }
            }
        }
        for step in steps {
            let progress = ProgressBar(label: step.label, total: step.count)
            for start in stride(from: 0, to: step.count, by: batch) {
                let end = min(start + batch, step.count)
                try writer.write { transaction in
                    for record in start..<end { try step.write(record, &transaction) }
                }
                progress.update(end)
            }
            progress.finish()
        }
    }
}

/// A source made ready: so many records, and how to write each.
private struct CatalogStep {
    let label: String
    let count: Int
    let write: (Int, inout CatalogTransaction) throws -> Void
}

extension CatalogSources {
    private enum RowKind { case embedding, collaborative }

    private func rows(_ path: String, _ label: String, _ format: CatalogFormat, kind: RowKind) throws -> CatalogStep {
        let file = try NumPyFile(path)
        if kind == .embedding, file.columns != format.dimension {
            throw CommandFailure(
                "catalog.wrong_dimension", .invalid,
                "\(path) has rows of \(file.columns) numbers; the catalog has the dimension \(format.dimension).",
                remedy:
                    "Give embeddings of the catalog's dimension, or make a catalog with `--dimension \(file.columns)`.")
        }
        let names = try rowIDs(count: file.rows, of: path)
        // In key order LMDB fills its pages from left to right; row order would split them at random.
        let order = names.indices.sorted { names[$0] < names[$1] }
        return CatalogStep(label: label, count: file.rows) { record, transaction in
            let row = order[record]
            let vector = try file.floats(row..<(row + 1))
            switch kind {
            case .embedding: try transaction.put(embedding: vector, of: names[row])
            case .collaborative: try transaction.put(collaborative: vector, of: names[row])
            }
        }
    }

    private func rowIDs(count: Int, of path: String) throws -> [ItemID] {
        guard let ids else { return (0..<count).map { ItemID(unchecked: Array(String($0).utf8)) } }
        let lines = try lines(of: ids)
        guard lines.count == count else {
            throw CommandFailure(
                "catalog.wrong_count", .invalid, "\(ids) has \(lines.count) ids; \(path) has \(count) rows.",
                remedy: "Give one id a row, in the order of the rows.")
        }
        let names = try lines.enumerated().map { number, line in
            guard let text = String(validating: line, as: UTF8.self), let id = ItemID(text: text) else {
                throw CommandFailure(
                    "catalog.bad_key", .invalid, "Line \(number + 1) of \(ids) is no item id: \(line.count) bytes.",
                    remedy: "An id has 1 to \(ItemID.maximumLength) bytes, as text or as base64:….")
            }
            return id
        }
        if Set(names).count < names.count {
            throw CommandFailure(
                "catalog.duplicate_id", .invalid, "\(ids) names \(names.count - Set(names).count) items twice.",
                remedy: "Give every row an id of its own.")
        }
        return names
    }

    private func itemStep(_ path: String, _ format: CatalogFormat) throws -> CatalogStep {
        let lines = try lines(of: path)
        let embedder = try embed.map { try TextEmbedders.make(name: $0, dimension: format.dimension) }
        var texts: [ItemText] = []
        texts.reserveCapacity(lines.count)
        for (number, line) in lines.enumerated() {
            do {
                texts.append(try ItemText(json: Array(line)))
            } catch {
                throw CommandFailure(
                    error.code, error.kind, "Line \(number + 1) of \(path): \(error.message)", remedy: error.remedy,
                    cause: error.cause)
            }
        }
        let order = texts.indices.sorted { texts[$0].id < texts[$1].id }
        return CatalogStep(label: embed == nil ? "items" : "items, embedded by \(embed ?? "")", count: texts.count) {
            record, transaction in
            let line = order[record]
            try transaction.put(json: lines[line], of: texts[line].id)
            guard let embedder else { return }
            do {
                try transaction.put(embedding: try embedder.embed(texts[line].text), of: texts[line].id)
            } catch let error as TextEmbeddingError {
                throw CommandFailure(
                    error.code, error.kind, "Item \(texts[line].id.text): \(error.message)", remedy: error.remedy)
            }
        }
    }

    private func interactionStep(_ path: String) throws -> CatalogStep {
        let bytes = try FileSystem.read(path, limit: 1 << 31)
        let users: [String: [Name]]
        do {
            users = try JSONDecoder().decode([String: [Name]].self, from: Data(bytes))
        } catch {
            throw CommandFailure(
                "catalog.bad_interactions", .invalid, "\(path) is not {user: [item, …]} in JSON.",
                remedy: "Give an object whose members are arrays of item ids in time order.", cause: error)
        }
        let order = users.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        return CatalogStep(label: "interactions", count: order.count) { record, transaction in
            let user = order[record]
            let items = users[user] ?? []
            for (position, item) in items.enumerated() {
                // The file has an order and no times: the tie-breaker keeps it.
                try transaction.put(
                    interactionOf: Array(user.utf8), milliseconds: 0, tieBreaker: UInt32(position), item: item.id)
            }
            // A shorter history than the one that stood there must not keep the old one's end.
            try transaction.removeInteractions(of: Array(user.utf8), from: UInt32(items.count))
        }
    }

    /// An item id in JSON: text or a whole number.
    private struct Name: Decodable {
        let id: ItemID

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let number = try? container.decode(Int.self) {
                id = ItemID(unchecked: Array(String(number).utf8))
            } else {
                id = try container.decode(ItemID.self)
            }
        }
    }

    /// The lines of a file, without their ends; empty ones are left out.
    private func lines(of path: String) throws -> [ArraySlice<UInt8>] {
        let bytes = try FileSystem.read(path, limit: 1 << 32)
        return bytes.split(separator: UInt8(ascii: "\n")).map { line in
            line.last == UInt8(ascii: "\r") ? line.dropLast() : line
        }.filter { !$0.isEmpty }
    }
}

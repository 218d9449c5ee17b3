import ArgumentParser
import Catalog
import Core
import Files
import FoundationEssentials
import TextEmbedding

/// The source files of `letter catalog import` and `put`.
struct CatalogSources: ParsableArguments {
    @Option(help: ArgumentHelp("File of semantic embeddings (.npy, f32 or f16), one row per item.", valueName: "file"))
    var embeddings: String?

    @Option(
        help: ArgumentHelp(
            "File with the item ids of the rows of --embeddings and --cf, one per line (default: row numbers).",
            valueName: "file"))
    var ids: String?

    @Option(help: ArgumentHelp("File of items, one JSON object with an \"id\" per line.", valueName: "file"))
    var items: String?

    @Option(
        help: ArgumentHelp(
            "File of interactions (JSON): {user: [item, …]}, each list in order of time.", valueName: "file"))
    var interactions: String?

    @Option(help: ArgumentHelp("File of collaborative (CF) embeddings (.npy), one row per item.", valueName: "file"))
    var cf: String?

    @Option(
        help: ArgumentHelp(
            "Compute the embeddings from the text of --items by this method: hashing.", valueName: "method"))
    var embed: String?

    /// Checks that the options can be combined.
    ///
    /// - Throws: `catalog.usage`.
    func check() throws {
        func usage(_ message: String, _ remedy: String) -> CatalogCommandError {
            CatalogCommandError(.usage, message, remedy: remedy)
        }
        guard embeddings != nil || items != nil || interactions != nil || cf != nil else {
            throw usage("There is nothing to read.", "Give --embeddings, --items, --interactions or --cf.")
        }
        guard embed == nil || items != nil else {
            throw usage(
                "--embed computes embeddings from the text of items, and there are no items.", "Give --items too.")
        }
        guard embed == nil || embeddings == nil else {
            throw usage("--embed and --embeddings exclude each other.", "Give one of them.")
        }
    }

    /// Writes all records of the files.
    ///
    /// - Parameter batch: records per transaction; nil for one transaction.
    func feed(into writer: CatalogWriter, batch: Int?) throws {
        var steps: [CatalogStep] = []
        if let embeddings { steps.append(try rows(embeddings, "embeddings", writer.format, kind: .embedding)) }
        if let cf { steps.append(try rows(cf, "CF embeddings", writer.format, kind: .collaborative)) }
        if let items { steps.append(try itemStep(items, writer.format)) }
        if let interactions { steps.append(try interactionStep(interactions)) }
        guard let batch else {
            // No progress bar: LMDB runs the body again if its map must grow.
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

/// A source that was read: its records, and how to write each of them.
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
            throw CatalogError(
                .wrongDimension,
                "\(path) has rows of \(file.columns) numbers; the catalog has the dimension \(format.dimension).",
                remedy:
                    "Give embeddings of the catalog's dimension, or create a catalog with `--dimension \(file.columns)`."
            )
        }
        let names = try rowIDs(count: file.rows, of: path)
        // In key order LMDB fills its pages one after the other; row order would split them at random.
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
            throw CatalogCommandError(
                .wrongCount, "\(ids) has \(lines.count) ids; \(path) has \(count) rows.",
                remedy: "Give one id per row, in the order of the rows.")
        }
        let names = try lines.enumerated().map { number, line in
            guard let text = String(validating: line, as: UTF8.self), let id = ItemID(text: text) else {
                throw CatalogError(
                    .badKey, "Line \(number + 1) of \(ids) is not an item id: \(line.count) bytes.",
                    remedy: "An id has 1 to \(ItemID.maximumLength) bytes, as text or as base64:….")
            }
            return id
        }
        if Set(names).count < names.count {
            throw CatalogCommandError(
                .duplicateID, "\(ids) repeats \(names.count - Set(names).count) item ids.",
                remedy: "Give each row a different id.")
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
                throw error.with(message: "Line \(number + 1) of \(path): \(error.message)")
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
                throw error.with(message: "Item \(texts[line].id.text): \(error.message)")
            }
        }
    }

    private func interactionStep(_ path: String) throws -> CatalogStep {
        let bytes = try FileSystem.read(path, limit: 1 << 31)
        let users: [String: [Name]]
        do {
            users = try JSONDecoder().decode([String: [Name]].self, from: Data(bytes))
        } catch {
            throw CatalogCommandError(
                .badInteractions, "\(path) is not {user: [item, …]} in JSON.",
                remedy: "Give an object whose members are arrays of item ids in order of time.", cause: error)
        }
        let order = users.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        return CatalogStep(label: "interactions", count: order.count) { record, transaction in
            let user = order[record]
            let items = users[user] ?? []
            for (position, item) in items.enumerated() {
                // The file has an order but no times; the tie-breaker keeps the order.
                try transaction.put(
                    interactionOf: Array(user.utf8), milliseconds: 0, tieBreaker: UInt32(position), item: item.id)
            }
            // If the new history is shorter than the old one, the rest of the old one must go.
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

    /// The lines of a file without line breaks; empty lines are left out.
    private func lines(of path: String) throws -> [ArraySlice<UInt8>] {
        let bytes = try FileSystem.read(path, limit: 1 << 32)
        return bytes.split(separator: UInt8(ascii: "\n")).map { line in
            line.last == UInt8(ascii: "\r") ? line.dropLast() : line
        }.filter { !$0.isEmpty }
    }
}

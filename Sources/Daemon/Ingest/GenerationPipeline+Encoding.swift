import Catalog
import Core
import IdentifierIndex
import Tokenizer

/// A chunk, and the latent embeddings that its collisions are decided by.
struct Prepared: Sendable {
    var chunk: Chunk
    var latents: [Float] = []
    var read = Duration.zero
    var encode = Duration.zero
    var quantise = Duration.zero
}

/// Reading and encoding the items of a chunk.
extension GenerationPipeline {
    /// Reads and encodes a chunk's items, block by block.
    func prepare(
        _ items: ArraySlice<ItemID>, _ catalog: CatalogWatch, _ balanced: [ItemID: Identifier]
    ) async throws -> Prepared {
        var prepared = Prepared(chunk: Chunk())
        var rest = items
        while !rest.isEmpty {
            try Task.checkCancellation()
            let block = threads.record.block(of: rest, generation: number, most: CatchUp.blockItems)
            try await prepare(block, catalog, into: &prepared)
            rest = rest.dropFirst(block.count)
        }
        guard !balanced.isEmpty else { return prepared }
        for (row, item) in prepared.chunk.encoded.enumerated() {
            // A record that was rewritten in between has codes of its own.
            guard let codes = balanced[item.id], codes.prefix(model.levels - 1) == item.natural.prefix(model.levels - 1)
            else { continue }
            prepared.chunk.encoded[row].balanced = codes
        }
        return prepared
    }

    func prepare(
        _ items: ArraySlice<ItemID>, _ catalog: CatalogWatch, into prepared: inout Prepared
    ) async throws {
        let start = ContinuousClock.now
        let batch = try await catalog.vectors(of: items)
        let read = ContinuousClock.now
        let (encoding, quantise) = try await encoder.encode(batch)
        prepared.read += start.duration(to: read)
        prepared.encode += read.duration(to: .now) - quantise
        prepared.quantise += quantise
        prepared.chunk.rejected += batch.rejected.map { rejected in
            RejectedItem(
                id: rejected.item, digest: rejected.digest, reason: rejected.fault.rawValue,
                detail: rejected.fault.detail(byteCount: rejected.byteCount, width: model.inputWidth))
        }
        let levels = model.levels
        let unusable = Set(encoding.unusable)
        if unusable.isEmpty { prepared.latents += encoding.latents }
        for row in 0..<batch.items.count {
            if unusable.contains(row) {
                prepared.chunk.rejected.append(
                    RejectedItem(
                        id: batch.items[row], digest: batch.digests[row], reason: "not_encodable",
                        detail: "The encoder's output for this embedding is not finite."))
                continue
            }
            if !unusable.isEmpty {
                prepared.latents += encoding.latents[(row * model.latentWidth)..<((row + 1) * model.latentWidth)]
            }
            let range = (row * levels)..<((row + 1) * levels)
            prepared.chunk.encoded.append(
                EncodedItem(
                    id: batch.items[row], digest: batch.digests[row], natural: Identifier(encoding.codes[range]) ?? [],
                    quantisationError: encoding.quantisationErrors[row], margin: encoding.margins[range].min() ?? 0))
        }
    }
}

extension RecordFault {
    /// A sentence for the quarantine.
    func detail(byteCount: Int, width: Int) -> String {
        switch self {
        case .wrongSize: "The record has \(byteCount) bytes, which is not a vector of \(width) numbers."
        case .notFinite: "The vector holds a NaN or an infinity."
        }
    }
}

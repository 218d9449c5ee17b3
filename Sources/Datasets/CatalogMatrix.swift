import Catalog
package import Core
package import Numerics

/// What training and evaluation read of a catalog: every item whose embedding can be encoded, in key order.
package struct CatalogMatrix: Sendable {
    /// The items, one a row.
    package var ids: [ItemID]
    /// Semantic embeddings (items, dimension).
    package var semantic: Matrix
    /// Collaborative embeddings (items, width), zero where an item has none; nil if the catalog has none at all.
    package var collaborative: Matrix?
    /// Which items have a collaborative embedding.
    package var mask: [Bool]

    /// Reads the catalog in the folder `directory`, in one snapshot for each of the two kinds of embedding.
    ///
    /// Memory: the matrices. O(items · dimension).
    ///
    /// - Throws: `CatalogError`.
    package init(catalog directory: String) throws {
        let reader = try CatalogReader(path: directory)
        var ids: [ItemID] = []
        var values: [Float] = []
        let count = try reader.count()
        ids.reserveCapacity(count)
        values.reserveCapacity(count * reader.format.dimension)
        try reader.forEachVector { item, vector, fault in
            guard fault == nil else { return }
            ids.append(item)
            values += vector
        }
        semantic = Matrix(rows: ids.count, columns: reader.format.dimension, values)
        mask = Array(repeating: false, count: ids.count)
        let vectors = try reader.collaborativeEmbeddings()
        if let width = vectors.first?.vector.count {
            // Both are in key order: one pass joins them.
            var joined = [Float](repeating: 0, count: ids.count * width)
            var next = 0
            for (row, id) in ids.enumerated() {
                while next < vectors.count, vectors[next].item < id { next += 1 }
                guard next < vectors.count, vectors[next].item == id else { continue }
                joined.replaceSubrange((row * width)..<((row + 1) * width), with: vectors[next].vector)
                mask[row] = true
            }
            collaborative = Matrix(rows: ids.count, columns: width, joined)
        }
        self.ids = ids
    }
}

import Catalog
import Core
import Files
import Foundation
import TextEmbedding

/// The path of categories that one field of an item's JSON gives, from the root; empty where it gives none.
///
/// Text is split at its commas; an array gives its elements, and an array of arrays its first one (as Amazon's metadata
/// have it); a number or a truth value is a path of one name.
func categoryPath(ofItem json: some Collection<UInt8>, field: String) -> [String] {
    let object = try? JSONSerialization.jsonObject(with: Data(json)) as? [String: Any]
    func names(_ value: Any?) -> [String] {
        switch value {
        case let text as String: text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        case let list as [Any]:
            if let first = list.first as? [Any] { names(first) } else { list.compactMap { $0 as? String } }
        case let number as NSNumber: ["\(number)"]
        default: []
        }
    }
    return names(object?[field]).filter { !$0.isEmpty }
}

/// Categories of these items from a file of items, one JSON object with an `id` a line; what is not there has none.
///
/// - Parameter ids: in key order.
/// - Throws: `CommandFailure` where a line is no item, or where no item of the catalog has such a field.
func readCategories(itemsFile path: String, field: String, of ids: [ItemID]) throws -> [[String]] {
    var found: [ItemID: [String]] = [:]
    let lines = try FileSystem.read(path, limit: 1 << 32).split(separator: UInt8(ascii: "\n"))
    for (number, line) in lines.enumerated() where !line.allSatisfy({ $0 <= 32 }) {
        do {
            found[try ItemText(json: Array(line)).id] = categoryPath(ofItem: line, field: field)
        } catch {
            throw CommandFailure(
                error.code, error.kind, "Line \(number + 1) of \(path): \(error.message)", remedy: error.remedy,
                cause: error.cause)
        }
    }
    return try checkCategories(ids.map { found[$0] ?? [] }, field: field, source: path)
}

/// Categories of these items from the items of the catalog itself; what has no JSON, or none that can be read, has none.
///
/// - Parameter ids: in key order.
/// - Throws: `CommandFailure` where no item has such a field.
func readCategories(catalog directory: String, field: String, of ids: [ItemID]) throws -> [[String]] {
    let reader = try CatalogReader(path: directory)
    var categories = [[String]](repeating: [], count: ids.count)
    // Both are in key order: one pass joins them.
    var next = 0
    try reader.forEachItem { item, json in
        while next < ids.count, ids[next] < item { next += 1 }
        if next < ids.count, ids[next] == item { categories[next] = categoryPath(ofItem: json, field: field) }
    }
    return try checkCategories(categories, field: field, source: directory)
}

/// Refuses categories that no item has: a field's name is easily mistyped.
func checkCategories(_ categories: [[String]], field: String, source: String) throws -> [[String]] {
    guard categories.contains(where: { !$0.isEmpty }) else {
        throw CommandFailure(
            "tokenizer.no_categories", .invalid,
            "No item of the catalog has categories in a field '\(field)' of \(source).",
            remedy: "Check the field's name, or leave --category-field out.")
    }
    return categories
}
